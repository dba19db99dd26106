"""Proportional prioritization: the functions behind the methods of `PrioritizedReplay`.

    P(i) = leaf_i / sum_k leaf_k,    leaf_i = (priority_i + epsilon)^alpha

Arguments have been checked when they come here. States, and what is written to them, are constants
under differentiation; otherwise JAX would carry tangents through every level of the tree. The
functions that compute on a batch are jitted `inline`: called from Python each is one program, and
inside another one it leaves no nested call.

Source: Schaul et al. 2016, section 3.
"""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxper.lowering.checkify_report import report
from jaxper.lowering.once import compute_once
from jaxper.lowering.order import delay, settle, settle_scalars
from jaxper.lowering.scatter import DROPPED
from jaxper.replay import draw_points, stats
from jaxper.replay.draw_points import Strategy
from jaxper.replay.importance import importance_weights, normalize_weights
from jaxper.replay.prioritized_state import PrioritizedState, saturating_add
from jaxper.replay.priority import compute_leaf, is_priority
from jaxper.replay.sample import Sample
from jaxper.replay.shards import AxisName, own_key, shard_count, sum_over_shards
from jaxper.replay.stats import Stats
from jaxper.storage import ring
from jaxper.tree import core
from jaxper.tree.core import SumTree
from jaxper.views.view import View

# The weights are divided by the largest in the batch, by the largest of any live slot, or by 1.
Normalize = Literal["batch", "buffer", "none"]

_BAD_PRIORITY = (
    "a priority is NaN, infinite or negative; pass magnitudes, such as jnp.abs(td_error)"
)


def init(storage: Any, alpha: Array, discount: Any, *, minimum: bool) -> PrioritizedState:
    """Makes a state around an empty storage.

    Args:
      storage: as the view makes it.
      alpha: float32 [].
      discount: float32 [], or () under most views.
      minimum: whether the tree keeps the smallest leaf above 0.
    """
    return PrioritizedState(
        next_id=jnp.zeros((), jnp.uint32),
        max_priority=jnp.ones((), jnp.float32),
        alpha=alpha,
        rejected=jnp.zeros((), jnp.uint32),
        stale=jnp.zeros((), jnp.uint32),
        discount=discount,
        stored=jnp.zeros((), jnp.int32),
        tree=core.init(storage.capacity, minimum=minimum),
        storage=storage,
    )


@partial(jax.jit, inline=True, static_argnames=("view", "epsilon"))
def add(
    state: PrioritizedState,
    items: Any,
    priorities: Array | None,
    mask: Array | None,
    *,
    view: View,
    epsilon: float,
) -> PrioritizedState:
    """Stores items that the view has checked, with the priorities and the mask that it returned."""
    state, items, priorities = jax.lax.stop_gradient((state, items, priorities))
    capacity = state.tree.capacity
    storage, changes = view.write(state.storage, state.next_id, state.stored, items, mask)
    # After a reset to less, max_priority is below 1.
    default = jnp.maximum(state.max_priority, 1)
    if priorities is None:
        priorities = default
    else:
        # Only items come with priorities, and each of their blocks is one slot.
        kept = changes.blocks != DROPPED
        priorities = compute_once(priorities, after=changes.blocks)
        good = is_priority(priorities)
        bad = report(kept & ~good, _BAD_PRIORITY)
        state = state._replace(
            max_priority=jnp.max(priorities, initial=state.max_priority, where=kept & good),
            rejected=saturating_add(state.rejected, jnp.sum(bad, dtype=jnp.uint32)),
        )
        priorities = jnp.where(good, priorities, default)
    leaves = compute_leaf(priorities, state.alpha, epsilon, capacity)
    leaves = jnp.where(changes.live, leaves[..., None], 0)
    next_id = ring.advance(state.next_id, changes.added, capacity)
    fill = ring.grow_fill(state.stored, changes.added, capacity)
    tree = core.write_blocks(state.tree, changes.blocks, leaves, changes.runs)
    tree, (next_id, fill) = core.settle_after(tree, next_id, fill)
    return state._replace(next_id=next_id, stored=fill, tree=tree, storage=storage)


@partial(
    jax.jit,
    inline=True,
    static_argnames=("batch_size", "axis_name", "view", "strategy", "normalize"),
)
def sample(
    state: PrioritizedState,
    key: Array,
    batch_size: int,
    beta: ArrayLike,
    axis_name: AxisName,
    *,
    view: View,
    strategy: Strategy,
    normalize: Normalize,
) -> Sample:
    """Draws a batch, with weights."""
    # All or nothing: where floats are read as integers a part of the gradient would be lost.
    state = jax.lax.stop_gradient(state)
    key, total = own_key(key, axis_name), core.total(state.tree)
    key, view_key = jax.random.split(key) if view.draws_randomly else (key, None)
    mass, fine = draw_points.draw(key, batch_size, total, strategy)
    slots, leaves, smallest = _draw_slots(state.tree, mass, fine, normalize)
    next_id, total, discount = delay((state.next_id, total, state.discount), until=leaves)
    ids = ring.id_in_slot(slots, next_id, state.tree.capacity)
    ids = jnp.where(total > 0, ids, ring.NO_ID)
    chances = _draw_probability(leaves, total, axis_name)
    weights = _weigh(normalize, state.tree, leaves, smallest, chances, beta, axis_name)
    items = view.read(state.storage, slots, key=view_key, discount=discount)
    return Sample(items, ids, chances, weights)


@partial(jax.jit, inline=True, static_argnames="epsilon")
def update(
    state: PrioritizedState,
    ids: Array,
    priorities: Array,
    mask: Array | None,
    *,
    epsilon: float,
) -> PrioritizedState:
    """Sets the priorities, float32 [B], of ids, uint32 [B]; mask is bool [B]."""
    if not ids.size:
        return state
    state, priorities = jax.lax.stop_gradient((state, priorities))
    capacity = state.tree.capacity
    wanted = jnp.ones(ids.shape, bool) if mask is None else mask
    priorities = compute_once(priorities, after=ids)
    good = is_priority(priorities)
    bad = report(wanted & ~good, _BAD_PRIORITY)
    live = _current_leaves(state, ids) > 0
    valid = wanted & good & live
    slots = jnp.where(valid, ring.slot_of(ids, capacity).astype(jnp.uint32), DROPPED)
    leaves = compute_leaf(priorities, state.alpha, epsilon, capacity)
    numbers = settle_scalars(
        ids.size,
        # The next id is among them, so that an add that follows comes after the draw.
        state.next_id,
        jnp.max(priorities, initial=state.max_priority, where=valid),
        saturating_add(state.rejected, jnp.sum(bad, dtype=jnp.uint32)),
        saturating_add(state.stale, jnp.sum(wanted & good & ~live, dtype=jnp.uint32)),
    )
    tree = core.overwrite_live(state.tree, slots, leaves, positive=epsilon > 0)
    tree, (next_id, max_priority, rejected, stale) = core.settle_after(tree, *numbers)
    return state._replace(
        next_id=next_id, max_priority=max_priority, rejected=rejected, stale=stale, tree=tree
    )


@partial(jax.jit, inline=True, static_argnames="epsilon")
def reset(state: PrioritizedState, priority: Array, *, epsilon: float) -> PrioritizedState:
    """Sets one priority, float32 [], for all live slots."""
    state, priority = jax.lax.stop_gradient((state, priority))
    good = is_priority(priority)
    bad = report(~good, _BAD_PRIORITY)
    leaf = compute_leaf(priority, state.alpha, epsilon, state.tree.capacity)
    leaves = jnp.where(good & (state.tree.leaves > 0), leaf, state.tree.leaves)
    return state._replace(
        max_priority=jnp.where(good, priority, state.max_priority),
        rejected=saturating_add(state.rejected, bad.astype(jnp.uint32)),
        tree=core.with_leaves(state.tree, leaves),
    )


@partial(jax.jit, inline=True, static_argnames="axis_name")
def probabilities(state: PrioritizedState, ids: Array, axis_name: AxisName) -> Array:
    """Computes the chance of each of the ids, uint32 [B], to be one draw; float32 [B]."""
    return _draw_probability(_current_leaves(state, ids), core.total(state.tree), axis_name)


def describe(state: PrioritizedState) -> Stats:
    """Computes statistics for logging."""
    return Stats(
        fill=state.stored.astype(jnp.float32) / state.tree.capacity,
        max_priority=state.max_priority,
        rejected=state.rejected,
        stale=state.stale,
        **stats.describe_tree(state.tree),
    )


def _current_leaves(state: PrioritizedState, ids: Array) -> Array:
    """Reads the leaf of each id; 0 if its item is gone."""
    capacity = state.tree.capacity
    there = ring.is_stored(ids, state.next_id, state.stored, capacity)
    leaves = core.read(state.tree, ring.slot_of(ids, capacity))
    return jnp.where(there, leaves, 0)


def _draw_slots(
    tree: SumTree, mass: Array, fine: Array, normalize: Normalize
) -> tuple[Array, Array, Array]:
    """Finds the slots that masses fall on, their leaves, and the leaf whose weight becomes 1."""
    slots, leaves = core.descend(tree, mass, fine)
    if normalize == "buffer":
        return slots, leaves, core.minimum(tree)
    slots, leaves, smallest = settle(slots, leaves, jnp.min(leaves))
    return slots, leaves, smallest


def _draw_probability(leaves: Array, total: Array, axis_name: AxisName) -> Array:
    """Computes the chance of each leaf to be one draw, if all shards draw equally many."""
    return leaves / jnp.where(total > 0, total, 1) / shard_count(axis_name)


def _weigh(
    normalize: Normalize,
    tree: SumTree,
    leaves: Array,
    smallest: Array,
    chances: Array,
    beta: ArrayLike,
    axis_name: AxisName,
) -> Array:
    """Computes the importance-sampling weights of the leaves that were drawn."""
    if normalize == "none":
        return importance_weights(chances, sum_over_shards(tree.live, axis_name), beta)
    return normalize_weights(leaves, smallest, core.total(tree), beta, axis_name)
