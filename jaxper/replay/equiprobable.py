"""Uniform draws: the state of a `UniformReplay` and the functions of it.

    P(i) = 1 / N

If every stored item is live, a draw is a random age. In a stream some starts are dead: a tree with
leaves of 1 and 0 knows which. Arguments have been checked when they come here, states are constants
under differentiation, and functions are jitted `inline` as in `proportional`.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxper.lowering.once import compute_once
from jaxper.replay import draw_points
from jaxper.replay.sample import Sample
from jaxper.replay.shards import AxisName, own_key, shard_count, sum_over_shards
from jaxper.replay.stats import Stats
from jaxper.storage import ring
from jaxper.tree import core
from jaxper.tree.core import SumTree
from jaxper.views.view import View


class UniformState(NamedTuple):
    """The state of a `UniformReplay`: a pytree of arrays."""

    next_id: Array  # uint32 [], id of the next item
    discount: Any  # float32 [], of the steps folded into a transition; () under another view
    stored: Array  # int32 [], slots that hold an item
    tree: SumTree | None  # a leaf of 1 per live slot; None if all stored items are live
    storage: Any  # the items as the view keeps them: `Records`, or a `Stream`

    def merge_counters(self, part: Array) -> "UniformState":
        """Returns the first of several states, arrays [k, ...]; it has no counters."""
        return jax.tree.map(lambda array: array[0], self)


def init(storage: Any, discount: Any, *, all_live: bool) -> UniformState:
    """Makes a state around an empty storage.

    Args:
      storage: as the view makes it.
      discount: float32 [], or () under most views.
      all_live: whether every stored item can be drawn, so that no tree is needed.
    """
    return UniformState(
        next_id=jnp.zeros((), jnp.uint32),
        discount=discount,
        stored=jnp.zeros((), jnp.int32),
        tree=None if all_live else core.init(storage.capacity),
        storage=storage,
    )


@partial(jax.jit, inline=True, static_argnames="view")
def add(state: UniformState, items: Any, mask: Array | None, *, view: View) -> UniformState:
    """Stores items that the view has checked, with the mask that it returned."""
    state, items = jax.lax.stop_gradient((state, items))
    capacity = state.storage.capacity
    storage, changes = view.write(state.storage, state.next_id, state.stored, items, mask)
    tree = state.tree
    if tree is not None:
        leaves = changes.live.astype(jnp.float32)
        tree = core.write_blocks(tree, changes.blocks, leaves, changes.runs)
        tree, _ = core.settle_after(tree)
    return state._replace(
        next_id=ring.advance(state.next_id, changes.added, capacity),
        stored=ring.grow_fill(state.stored, changes.added, capacity),
        tree=tree,
        storage=storage,
    )


@partial(jax.jit, inline=True, static_argnames=("batch_size", "axis_name", "view"))
def sample(
    state: UniformState, key: Array, batch_size: int, axis_name: AxisName, *, view: View
) -> Sample:
    """Draws a batch; over shards with weights, as they may hold unequally many items."""
    state = jax.lax.stop_gradient(state)
    key = own_key(key, axis_name)
    key, view_key = jax.random.split(key) if view.draws_randomly else (key, None)
    slots, ids = _draw(state, key, batch_size)
    ids = jnp.where(size(state) > 0, ids, ring.NO_ID)
    drawn = ids != ring.NO_ID
    chances = jnp.where(drawn, 1 / _invert_probability(state, axis_name), 0)
    weights = jnp.where(drawn, jnp.float32(_share_of_items(state, axis_name)), 0)
    items = view.read(state.storage, slots, key=view_key, discount=state.discount)
    return Sample(items, ids, chances, weights)


def _draw(state: UniformState, key: Array, batch_size: int) -> tuple[Array, Array]:
    """Draws live slots, int32 [B], and the ids in them, uint32 [B]."""
    capacity = state.storage.capacity
    if state.tree is None:
        age = draw_points.draw_below(key, batch_size, state.stored)
        ids = ring.id_of_age(compute_once(age, after=state.next_id), state.next_id, capacity)
        return ring.slot_of(ids, capacity), ids
    mass, fine = draw_points.draw(key, batch_size, core.total(state.tree), "iid")
    slots, _ = core.descend(state.tree, mass, fine)
    return slots, ring.id_in_slot(slots, state.next_id, capacity)


def size(state: UniformState) -> Array:
    """Returns the number of live items, int32 []."""
    return state.stored if state.tree is None else state.tree.live


@partial(jax.jit, inline=True, static_argnames="axis_name")
def probabilities(state: UniformState, ids: Array, axis_name: AxisName) -> Array:
    """Computes the chance of each of the ids, uint32 [B], to be one draw; float32 [B]."""
    capacity = state.storage.capacity
    live = ring.is_stored(ids, state.next_id, state.stored, capacity)
    if state.tree is not None:
        live &= core.read(state.tree, ring.slot_of(ids, capacity)) > 0
    return live.astype(jnp.float32) / _invert_probability(state, axis_name)


def _invert_probability(state: UniformState, axis_name: AxisName) -> Array:
    """Returns 1 / P(i): the live items of this shard, at least 1, times the shards; float32 []."""
    return jnp.maximum(size(state), 1).astype(jnp.float32) * shard_count(axis_name)


def _share_of_items(state: UniformState, axis_name: AxisName) -> Array | float:
    """Returns how many items this shard holds, over the mean of all shards."""
    if axis_name is None:
        return 1.0
    mean = sum_over_shards(size(state), axis_name) / shard_count(axis_name)
    return size(state).astype(jnp.float32) / jnp.where(mean > 0, mean, 1)


def describe(state: UniformState) -> Stats:
    """Computes statistics for logging, as if every live leaf was 1."""
    total = size(state).astype(jnp.float32)
    one = jnp.minimum(total, 1)
    return Stats(
        size=size(state),
        fill=state.stored.astype(jnp.float32) / state.storage.capacity,
        total=total,
        mean=one,
        smallest=one,
        largest=one,
        effective_sample_size=total,
        max_priority=jnp.ones((), jnp.float32),
        rejected=jnp.zeros((), jnp.uint32),
        stale=jnp.zeros((), jnp.uint32),
    )
