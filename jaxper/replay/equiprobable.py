"""The state of a `UniformReplay`, and the pure functions of it that the replay's methods call.

Arguments have been checked when they come here, and each function is jitted as those of
`prioritized_state` are. Where every stored item is live, a draw is a random age. In a stream some
starts are dead: there a tree with leaves of 1 and 0 knows which.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxper import sum_tree
from jaxper.lowering.in_place import computed_once
from jaxper.replay import draw_points as strata
from jaxper.replay import shards as axis
from jaxper.replay import stats
from jaxper.storage import ring
from jaxper.views import items as views
from jaxper.views.items import Sample

if TYPE_CHECKING:
    from jaxper.replay.uniform import UniformReplay


class UniformState(NamedTuple):
    """What a `UniformReplay` knows; a pytree of arrays."""

    next_id: Array  # uint32 [], id of the next item
    discount: Any  # float32 [], of the steps folded into a transition; () under another view
    stored: Array  # int32 [], slots that hold an item
    tree: Any  # a SumTree with a leaf of 1 per live slot; () where all stored items are live
    storage: Any  # what the view keeps of the items: `Records`, or a `Stream`


def init(replay: UniformReplay, item: Any, discount: Any) -> UniformState:
    """An empty state; discount is float32 [], or () under most views."""
    return UniformState(
        next_id=jnp.zeros((), jnp.uint32),
        discount=discount,
        stored=jnp.zeros((), jnp.int32),
        tree=() if isinstance(replay.view, views.Items) else sum_tree.init(replay.capacity),
        storage=replay.view.init(item, replay.capacity),
    )


@partial(jax.jit, inline=True)
def add(replay: UniformReplay, state: UniformState, items: Any, mask: Array | None) -> UniformState:
    """The state with items, leaves [B, ...]; mask is bool [B]."""
    state, items = jax.lax.stop_gradient((state, items))
    storage, changes = replay.view.write(state.storage, state.next_id, state.stored, items, mask)
    tree = state.tree
    if tree != ():
        tree, _ = sum_tree.write(tree, changes, changes.live.astype(jnp.float32))
    return state._replace(
        next_id=ring.advance(state.next_id, changes.count, replay.capacity),
        stored=ring.stored_after(state.stored, changes.count, replay.capacity),
        tree=tree,
        storage=storage,
    )


@partial(jax.jit, inline=True, static_argnames=("batch_size", "axis_name"))
def sample(
    replay: UniformReplay, state: UniformState, key: Array, batch_size: int, axis_name: axis.Name
) -> Sample:
    """A batch that is drawn; over shards with weights, as they may hold unequally many."""
    empty = size(state) == 0
    key = axis.own_key(key, axis_name)
    ids = jnp.where(empty, ring.NO_ID, _draw(replay, state, key, batch_size))
    chances = probabilities(replay, state, ids, axis_name)
    weights = jnp.where(chances > 0, _share(state, axis_name), jnp.float32(0))
    return Sample(views.get(replay, state, ids), ids, chances, weights)


def _share(state: UniformState, axis_name: axis.Name) -> Array | float:
    """What an item counts for: this shard's items over the mean of all shards."""
    if axis_name is None:
        return 1.0
    mean = axis.total(size(state), axis_name) / axis.shards(axis_name)
    return size(state).astype(jnp.float32) / jnp.where(mean > 0, mean, 1)


def _draw(replay: UniformReplay, state: UniformState, key: Array, batch_size: int) -> Array:
    """Ids of live items, uint32 [B]."""
    if state.tree == ():
        age, _ = computed_once(state.next_id, strata.integers(key, batch_size, state.stored))
        return ring.id_of_age(age, state.next_id, replay.capacity)
    mass, fine = strata.draw(key, batch_size, sum_tree.total(state.tree), "iid")
    slots, _ = sum_tree.descend(state.tree, mass, fine)
    return ring.id_in_slot(slots, state.next_id, replay.capacity)


def size(state: UniformState) -> Array:
    """Number of live items, int32 []."""
    return state.stored if state.tree == () else state.tree.live


@partial(jax.jit, inline=True, static_argnames="axis_name")
def probabilities(
    replay: UniformReplay, state: UniformState, ids: Array, axis_name: axis.Name
) -> Array:
    """The chance of each of the ids, uint32 [B], to be one draw; float32 [B]."""
    live = ring.is_stored(ids, state.next_id, state.stored, replay.capacity)
    if state.tree != ():
        live &= sum_tree.get(state.tree, ring.slot_of(ids, replay.capacity)) > 0
    draws = jnp.maximum(size(state), 1).astype(jnp.float32) * axis.shards(axis_name)
    return live.astype(jnp.float32) / draws


def stats_of(replay: UniformReplay, state: UniformState) -> stats.Stats:
    """Scalars for logging, as of leaves of 1."""
    total = size(state).astype(jnp.float32)
    one = jnp.minimum(total, 1)
    return stats.Stats(
        size=size(state),
        fill=state.stored.astype(jnp.float32) / replay.capacity,
        total=total,
        mean=one,
        smallest=one,
        largest=one,
        effective_sample_size=total,
        max_priority=jnp.ones((), jnp.float32),
        rejected=jnp.zeros((), jnp.uint32),
        stale=jnp.zeros((), jnp.uint32),
    )
