"""The state of a `PrioritizedReplay`, and the pure functions of it that the replay's methods call.

Arguments have been checked when they come here. To a gradient a state is a constant, and so is
what is written to it: JAX would else carry tangents through each level of the tree. Each function
is jitted `inline`: called from Python it is one program, and inside of another it leaves no nested
call.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxper import sum_tree
from jaxper.lowering.checkify_report import reported
from jaxper.lowering.in_place import apart, computed_once, known_late
from jaxper.replay import draw_points as strata
from jaxper.replay import shards as axis
from jaxper.replay import stats
from jaxper.replay.importance import importance_weights, normalised_weights
from jaxper.replay.priority import is_priority, leaf_of
from jaxper.storage import ring
from jaxper.views.items import Sample

if TYPE_CHECKING:
    from jaxper.replay.prioritized import PrioritizedReplay

SMALL_UPDATE = 32  # rows: fewer a GPU adds up at each use of the sums, after leaves were written
_BAD_PRIORITY = (
    "a priority is NaN, infinite or negative; pass magnitudes, such as jnp.abs(td_error)"
)


class PrioritizedState(NamedTuple):
    """What a `PrioritizedReplay` knows; a pytree of arrays."""

    next_id: Array  # uint32 [], id of the next item
    max_priority: Array  # float32 [], the largest priority seen; a new item gets it, at least 1
    alpha: Array  # float32 [], exponent of the leaves written from now on
    rejected: Array  # uint32 [], rows ignored for a NaN, infinite or negative priority; saturates
    stale: Array  # uint32 [], rows ignored because the id was gone or not live; saturates
    discount: Any  # float32 [], of the steps folded into a transition; () under another view
    stored: Array  # int32 [], slots that hold an item
    tree: sum_tree.SumTree  # one leaf per slot
    storage: Any  # what the view keeps of the items: `Records`, or a `Stream`


def init(replay: PrioritizedReplay, item: Any, alpha: Array, discount: Any) -> PrioritizedState:
    """An empty state; alpha and discount are float32 [], the latter () under most views."""
    return PrioritizedState(
        next_id=jnp.zeros((), jnp.uint32),
        max_priority=jnp.ones((), jnp.float32),
        alpha=alpha,
        rejected=jnp.zeros((), jnp.uint32),
        stale=jnp.zeros((), jnp.uint32),
        discount=discount,
        stored=jnp.zeros((), jnp.int32),
        tree=sum_tree.init(replay.capacity, minimum=replay.normalize == "buffer"),
        storage=replay.view.init(item, replay.capacity),
    )


@partial(jax.jit, inline=True)
def add(
    replay: PrioritizedReplay,
    state: PrioritizedState,
    items: Any,
    priorities: Array | None,
    mask: Array | None,
) -> PrioritizedState:
    """The state with items, leaves [B, ...], priorities, float32 [B], and mask, bool [B]."""
    state, items, priorities = jax.lax.stop_gradient((state, items, priorities))
    storage, changes = replay.view.write(state.storage, state.next_id, state.stored, items, mask)
    unseen = jnp.maximum(state.max_priority, 1)  # it is below 1 after a reset to less
    if priorities is None:
        priorities = unseen
    else:
        kept = changes.slots != ring.NO_SLOT
        priorities, _ = computed_once(changes.slots, priorities)
        good = is_priority(priorities)
        bad = reported(kept & ~good, _BAD_PRIORITY)
        state = state._replace(
            max_priority=jnp.max(priorities, initial=state.max_priority, where=kept & good),
            rejected=saturating_add(state.rejected, jnp.sum(bad, dtype=jnp.uint32)),
        )
        priorities = jnp.where(good, priorities, unseen)
    leaves = leaf_of(priorities, state.alpha, replay.epsilon, replay.capacity)
    leaves = jnp.where(changes.live, leaves[..., None], 0)
    next_id = ring.advance(state.next_id, changes.count, replay.capacity)
    stored = ring.stored_after(state.stored, changes.count, replay.capacity)
    tree, late = sum_tree.write(state.tree, changes, leaves, next_id, stored)
    return state._replace(next_id=late[0], stored=late[1], tree=tree, storage=storage)


@partial(jax.jit, inline=True, static_argnames=("batch_size", "axis_name"))
def sample(
    replay: PrioritizedReplay,
    state: PrioritizedState,
    key: Array,
    batch_size: int,
    beta: ArrayLike,
    axis_name: axis.Name,
) -> Sample:
    """A batch that is drawn, with weights."""
    state = jax.lax.stop_gradient(state)  # part of it would get lost where floats move as bits
    key, total = axis.own_key(key, axis_name), sum_tree.total(state.tree)
    mass, fine = strata.draw(key, batch_size, total, replay.strategy)
    slots, leaves, smallest = _drawn(replay.normalize, state.tree, mass, fine)
    # Else these are ready at the start beside the key's operations, too many: see `computed_once`.
    numbers = state.next_id, total, state.discount
    next_id, total, discount = jax.tree.map(lambda number: known_late(number, leaves[0]), numbers)
    ids = ring.id_in_slot(slots, next_id, replay.capacity)
    ids = jnp.where(total > 0, ids, ring.NO_ID)
    chances = _fraction(leaves, total, axis_name)
    weights = _weights(replay.normalize, state.tree, leaves, smallest, chances, beta, axis_name)
    items = replay.view.read(state.storage, discount, slots)
    return Sample(items, ids, chances, weights)


@partial(jax.jit, inline=True)
def update(
    replay: PrioritizedReplay,
    state: PrioritizedState,
    ids: Array,
    priorities: Array,
    mask: Array | None,
) -> PrioritizedState:
    """The state after new priorities, float32 [B], of ids, uint32 [B]; mask is bool [B]."""
    if not ids.size:
        return state
    state, priorities = jax.lax.stop_gradient((state, priorities))
    kept = jnp.ones(ids.shape, bool) if mask is None else mask
    priorities, _ = computed_once(ids, priorities)
    good = is_priority(priorities)
    bad = reported(kept & ~good, _BAD_PRIORITY)
    live = _leaves_of(replay, state, ids) > 0
    valid = kept & good & live
    slots = jnp.where(valid, ring.slot_of(ids, replay.capacity).astype(jnp.uint32), sum_tree.OUT)
    leaves = leaf_of(priorities, state.alpha, replay.epsilon, replay.capacity)
    numbers = (
        state.next_id,  # so an add that follows waits for the batch the priorities come from
        jnp.max(priorities, initial=state.max_priority, where=valid),
        saturating_add(state.rejected, jnp.sum(bad, dtype=jnp.uint32)),
        saturating_add(state.stale, jnp.sum(kept & good & ~live, dtype=jnp.uint32)),
    )
    if ids.size < SMALL_UPDATE:
        numbers = apart(*numbers)
    positive = replay.epsilon > 0
    tree, late = sum_tree.replace(state.tree, slots, leaves, *numbers, positive=positive)
    next_id, max_priority, rejected, stale = late
    return state._replace(
        next_id=next_id, max_priority=max_priority, rejected=rejected, stale=stale, tree=tree
    )


@partial(jax.jit, inline=True)
def reset(replay: PrioritizedReplay, state: PrioritizedState, priority: Array) -> PrioritizedState:
    """The state with one priority, float32 [], for all live slots."""
    good = is_priority(priority)
    bad = reported(~good, _BAD_PRIORITY)
    leaf = leaf_of(priority, state.alpha, replay.epsilon, replay.capacity)
    leaf = jnp.where(good & (state.tree.leaves > 0), leaf, state.tree.leaves)
    return state._replace(
        max_priority=jnp.where(good, priority, state.max_priority),
        rejected=saturating_add(state.rejected, bad.astype(jnp.uint32)),
        tree=sum_tree.rebuild(state.tree, leaf),
    )


@partial(jax.jit, inline=True, static_argnames="axis_name")
def probabilities(
    replay: PrioritizedReplay, state: PrioritizedState, ids: Array, axis_name: axis.Name
) -> Array:
    """The chance of each of the ids, uint32 [B], to be one draw; float32 [B]."""
    return _fraction(_leaves_of(replay, state, ids), sum_tree.total(state.tree), axis_name)


def stats_of(replay: PrioritizedReplay, state: PrioritizedState) -> stats.Stats:
    """Scalars for logging."""
    return stats.Stats(
        fill=state.stored.astype(jnp.float32) / replay.capacity,
        max_priority=state.max_priority,
        rejected=state.rejected,
        stale=state.stale,
        **stats.of_tree(state.tree),
    )


def _leaves_of(replay: PrioritizedReplay, state: PrioritizedState, ids: Array) -> Array:
    """The leaf of each id, 0 where its item is gone."""
    stored = ring.is_stored(ids, state.next_id, state.stored, replay.capacity)
    leaves = sum_tree.get(state.tree, ring.slot_of(ids, replay.capacity))
    return jnp.where(stored, leaves, 0)


def _drawn(normalize: str, tree: sum_tree.SumTree, mass: Array, fine: Array) -> Sequence[Array]:
    """The slots that masses fall on, the leaves there, and the leaf of the largest weight."""
    slots, leaves = sum_tree.descend(tree, mass, fine)
    if normalize == "buffer":
        return slots, leaves, sum_tree.minimum(tree)
    # A GPU would compute all that reads the leaves together with the smallest, in one block.
    return apart(slots, leaves, jnp.min(leaves))


def _fraction(leaves: Array, total: Array, axis_name: axis.Name) -> Array:
    """The chance of each leaf to be one draw, where all shards draw equally many."""
    return leaves / jnp.where(total > 0, total, 1) / axis.shards(axis_name)


def _weights(
    normalize: str,
    tree: sum_tree.SumTree,
    leaves: Array,
    smallest: Array,
    chances: Array,
    beta: ArrayLike,
    axis_name: axis.Name,
) -> Array:
    if normalize == "none":
        return importance_weights(chances, axis.total(tree.live, axis_name), beta)
    return normalised_weights(leaves, smallest, sum_tree.total(tree), beta, axis_name)


def saturating_add(counter: Array, more: Array) -> Array:
    """A counter of uint32 and more of them, held at the largest uint32."""
    return jnp.where(more > ~counter, ~jnp.uint32(0), counter + more)
