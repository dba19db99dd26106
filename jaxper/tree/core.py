"""The sum tree as the replays use it; `jaxper.sum_tree` is its public face.

Every write happens in place under donation: it is ordered after the reads of the old leaves and
after the whole of the write before it.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import Protocol

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxper.lowering.once import compute_once
from jaxper.lowering.order import delay, order_after, settle, settle_everywhere
from jaxper.lowering.scatter import DROPPED, gather_blocks, pad_single_row, scatter_blocks
from jaxper.lowering.trail import Trail
from jaxper.tree import descent, last_writes, levels
from jaxper.tree.levels import GROUP


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["leaves", "sums", "minima", "live"],
    meta_fields=["capacity"],
)
@dataclasses.dataclass(frozen=True)
class SumTree:
    """Leaves and, level by level, the sums of their groups. Unused places hold 0.

    A minimum is infinity if its group has no leaf above 0.
    """

    leaves: Array  # float32 [groups, GROUP], capacity rounded up to whole groups
    sums: tuple[Array, ...]  # float32 [groups, GROUP] per stored level, from the leaves up
    minima: tuple[Array, ...] | None  # the same for the smallest leaf above 0, or None
    live: Array  # int32 [], number of leaves above 0
    capacity: int  # leaves that are in use


class LeafRun(Protocol):
    """Neighbouring leaves, which may go on at the first leaf after the last one."""

    @property
    def first(self) -> Array:
        """The first leaf, uint32 []."""
        ...

    @property
    def length(self) -> int:
        """How many leaves."""
        ...


def init(capacity: int, *, minimum: bool = False) -> SumTree:
    """Makes a tree of `capacity` leaves, all 0; with the smallest leaf above 0 if `minimum`."""
    return _build(jnp.zeros((-(-capacity // GROUP), GROUP), jnp.float32), capacity, minimum)


def with_leaves(tree: SumTree, leaves: Array) -> SumTree:
    """Replaces all leaves, [groups, GROUP], and computes the whole tree anew: O(capacity)."""
    return _build(leaves, tree.capacity, tree.minima is not None)


def _build(leaves: Array, capacity: int, minimum: bool) -> SumTree:
    minima = levels.build(leaves, levels.positive_min) if minimum else None
    live = jnp.sum(leaves > 0, dtype=jnp.int32)
    return SumTree(leaves, levels.build(leaves, levels.add), minima, live, capacity)


def total(tree: SumTree) -> Array:
    """Adds up all leaves, float32 []."""
    return levels.reduce_to_root((tree.leaves, *tree.sums)[-1], levels.add)


def minimum(tree: SumTree) -> Array:
    """Returns the smallest leaf above 0, float32 []; the tree must keep it."""
    assert tree.minima is not None
    return levels.reduce_to_root((tree.leaves, *tree.minima)[-1], levels.positive_min)


def read(tree: SumTree, indices: Array) -> Array:
    """Reads leaves at integers [B]; 0 outside [0, capacity)."""
    return _read(tree, drop_outside(tree, indices))


def _read(tree: SumTree, indices: Array) -> Array:
    return jnp.where(indices == DROPPED, 0, levels.read(tree.leaves, indices))


def drop_outside(tree: SumTree, indices: Array) -> Array:
    """Returns integers as uint32, `DROPPED` where they are outside [0, capacity)."""
    inside = (indices >= 0) & (indices < tree.capacity)
    return jnp.where(inside, indices.astype(jnp.uint32), DROPPED)


@partial(jax.jit, inline=True)
def descend(tree: SumTree, mass: Array, fine: Array) -> tuple[Array, Array]:
    """Finds the leaves where the running sum first exceeds `mass + fine`, float32 [B] each.

    Both results, the indices int32 [B] and the leaves there, are constants under differentiation.
    """
    tree, mass, fine = jax.lax.stop_gradient((tree, mass, fine))
    return descent.descend((tree.leaves, *tree.sums), mass, fine, after=tree.live)


@partial(jax.jit, inline=True)
def write(tree: SumTree, indices: Array, values: Array) -> SumTree:
    """Writes float32 `values` [B] at uint32 `indices` [B], in range or `DROPPED`.

    If an index occurs more than once, the last value counts.
    """
    before = compute_once(_read(tree, indices), after=tree.live)
    (indices,) = settle(order_after(indices, before, _written(tree)))
    leaves, last = last_writes.find_last(tree.leaves, indices, after=tree.live)
    indices = jnp.where(last, indices, DROPPED)
    change = _count_change(indices, values, before)
    tree, _ = settle_after(_put(tree, leaves, indices, values, change))
    return tree


@partial(jax.jit, inline=True, static_argnames="positive")
def overwrite_live(tree: SumTree, indices: Array, values: Array, *, positive: bool) -> SumTree:
    """Writes over leaves that are all above 0 now; otherwise as `write`.

    Args:
      tree: the tree to write to.
      indices: uint32 [B] in range or `DROPPED`, B at least 1.
      values: float32 [B].
      positive: whether all values are known to be above 0 too.

    Returns:
      The tree; pass it through `settle_after` before its next use.
    """
    (indices,) = Trail(values).finish(order_after(indices, _written(tree)))
    leaves, last = last_writes.find_last(tree.leaves, indices, after=values)
    indices = jnp.where(last, indices, DROPPED)
    change = 0 if positive else _count_change(indices, values, 1)
    return _put(tree, leaves, indices, values, change)


def write_blocks(tree: SumTree, first: Array, values: Array, runs: Sequence[LeafRun]) -> SumTree:
    """Writes blocks of neighbouring leaves.

    Args:
      tree: the tree to write to.
      first: uint32 [W], where each block begins, or `DROPPED`; no two blocks overlap.
      values: float32 [W, block].
      runs: where the blocks lie; the groups of these leaves are refreshed.

    Returns:
      The tree; pass it through `settle_after` before its next use.
    """
    if not values.size:
        return tree
    first, values = pad_single_row(first, values)
    flat = tree.leaves.ravel()
    before = gather_blocks(flat, first, values.shape[1])
    before = compute_once(before, after=first, source_size=flat.size)
    (change,) = settle(_count_change(first[:, None], values, before))
    counted = change.astype(jnp.float32)
    first = order_after(first, counted, _written(tree))
    groups = [levels.find_groups(run.first, run.length, tree.capacity) for run in runs]
    groups = delay(jnp.concatenate(groups), until=counted)
    flat = scatter_blocks(flat, first, values)
    return _refresh(tree, flat, groups, values[:, 0], change)


def _count_change(indices: Array, values: Array, before: Array | int) -> Array:
    """Counts how many more leaves are above 0 with `values` in place of `before`, int32 []."""
    more = (values > 0).astype(jnp.int32) - jnp.asarray(before > 0).astype(jnp.int32)
    return jnp.sum(jnp.where(indices == DROPPED, 0, more), dtype=jnp.int32)


def _put(tree: SumTree, leaves: Array, indices: Array, values: Array, change: ArrayLike) -> SumTree:
    """Writes `values` at `indices` of `leaves`, no index twice but `DROPPED`."""
    indices, values = pad_single_row(indices, values)
    flat = leaves.ravel().at[indices].set(values, mode="drop", unique_indices=True)
    return _refresh(tree, flat, indices // GROUP, values, change)


def _refresh(
    tree: SumTree, flat: Array, groups: Array, values: Array, change: ArrayLike
) -> SumTree:
    """Returns the tree with its leaves `flat`, after `values` were written to these `groups`."""
    leaves = flat.reshape(tree.leaves.shape)
    parents, reduces = [tree.sums], [levels.add]
    if tree.minima is not None:
        parents, reduces = [*parents, tree.minima], [*reduces, levels.positive_min]
    trail, before = Trail(values), _written(tree)
    sums, *minima = levels.refresh(trail, parents, leaves, groups, reduces, before)
    live = tree.live + change
    return SumTree(leaves, sums, minima[0] if minima else None, live, tree.capacity)


def settle_after(tree: SumTree, *numbers: Array) -> tuple[SumTree, tuple[Array, ...]]:
    """Returns the tree and numbers [] beside it, known only once its highest levels are written.

    Whatever uses one of them is then ordered after all of the write.
    """
    kept = [tree.sums] if tree.minima is None else [tree.sums, tree.minima]
    highest = [(tree.leaves, *above)[-1][0, 0] for above in kept]
    late = [order_after(number, *highest) for number in (tree.live, *numbers)]
    live, *late = settle_everywhere(*late)
    return dataclasses.replace(tree, live=live), tuple(late)


def _written(tree: SumTree) -> Array:
    """A float [] that is known once the last write has reached the highest level."""
    return tree.live.astype(jnp.float32)
