"""A sum tree over plain arrays, for drawing leaves in proportion to their value.

The tree is wide: every node has `GROUP` children that lie side by side in one row, so a descent
gathers one row per level, and a million leaves are five rows deep. Every function is pure; under
donation the writes happen in place. What is not in `__all__` is for the replays.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require
from jaxper.lowering import bits as _bits
from jaxper.lowering.in_place import NOWHERE, after, apart, computed_once, known_late, never_one
from jaxper.storage import ring
from jaxper.tree import descent, levels
from jaxper.tree import last_writes as duplicates
from jaxper.tree.levels import GROUP

__all__ = ["SumTree", "find", "get", "init", "minimum", "set", "total"]

OUT = NOWHERE  # an index that is out of range on every level


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["leaves", "sums", "minima", "live"],
    meta_fields=["capacity"],
)
@dataclasses.dataclass(frozen=True)
class SumTree:
    """Leaves and, level by level, what was computed from them. Unused places hold 0."""

    leaves: Array  # float32 [groups, GROUP], capacity rounded up to whole groups
    sums: tuple[Array, ...]  # float32 [groups, GROUP] per stored level, from the leaves up
    minima: tuple[Array, ...] | None  # likewise the smallest leaf above 0; or not kept
    live: Array  # int32 [], number of leaves above 0
    capacity: int  # leaves that are in use


def init(capacity: int, *, minimum: bool = False) -> SumTree:
    """A tree of `capacity` leaves, all 0.

    Args:
      capacity: number of leaves, from 1 to 2^31 - 1.
      minimum: keep the smallest leaf above 0 as well, for a sixteenth more memory.

    Raises:
      ValueError: `capacity` is out of range.

    >>> from jaxper import sum_tree
    >>> tree = sum_tree.set(sum_tree.init(5), jnp.array([1, 4]), jnp.array([2.0, 6.0]))
    >>> float(sum_tree.total(tree))
    8.0
    """
    capacity = require.count("capacity", capacity)
    leaves = jnp.zeros((-(-capacity // GROUP), GROUP), jnp.float32)
    return _build(leaves, capacity, minimum)


def total(tree: SumTree) -> Array:
    """Sum of all leaves, float32 []."""
    return levels.root((tree.leaves, *tree.sums)[-1], levels.total)


def minimum(tree: SumTree) -> Array:
    """Smallest of the leaves above 0, float32 []; infinity where there is none.

    Raises:
      ValueError: the tree does not keep it.
    """
    if tree.minima is None:
        raise ValueError("this tree keeps no minimum; write sum_tree.init(capacity, minimum=True)")
    return levels.root((tree.leaves, *tree.minima)[-1], levels.smallest)


def get(tree: SumTree, indices: ArrayLike) -> Array:
    """The leaves at `indices`, integers of any shape: float32 of it; 0 outside [0, capacity)."""
    indices = _in_range(tree, indices)
    return _get(tree, indices.ravel()).reshape(indices.shape)


def set(tree: SumTree, indices: ArrayLike, values: ArrayLike) -> SumTree:
    """Writes leaves: of an index that stands more than once the last value counts.

    Args:
      tree: the tree to write to.
      indices: integers of any shape; those outside [0, capacity), negative too, are dropped.
      values: float32 of that shape, finite and at least 0, with a total below 2^127.

    Raises:
      ValueError: `indices` and `values` differ in shape, or the indices are no integers.

    >>> from jaxper import sum_tree
    >>> tree = sum_tree.set(sum_tree.init(3), jnp.array([0, 0, 7]), jnp.array([1.0, 2.0, 4.0]))
    >>> sum_tree.get(tree, jnp.arange(3)).tolist()
    [2.0, 0.0, 0.0]
    """
    values = jnp.asarray(values, jnp.float32)
    require.same_shape("values", values, "indices", jnp.asarray(indices))
    if not values.size:
        return tree
    return _set(tree, _in_range(tree, indices).ravel(), values.ravel())


def find(tree: SumTree, mass: ArrayLike, low: ArrayLike | None = None) -> Array:
    """The leaf where the running sum of the leaves first exceeds each mass.

        find(m) = min {i : leaf_0 + ... + leaf_i > m}

    It is never a leaf of 0 while the total is above 0, whatever the rounding. A mass at or above
    the total finds the last leaf above 0, one below 0 the first; an empty tree gives 0.

    Args:
      tree: the tree to search.
      mass: float32 of any shape, in the unit of the leaves.
      low: uint32 of that shape, fresh random bits below those of a float32 uniform: they move each
        mass up by less than 2^-23 of the total, so leaves too narrow for one uniform are found.

    Returns:
      int32 of that shape, indices in [0, capacity).

    Raises:
      ValueError: `low` differs from `mass` in shape.

    >>> from jaxper import sum_tree
    >>> tree = sum_tree.set(sum_tree.init(4), jnp.array([1, 3]), jnp.array([2.0, 1.0]))
    >>> sum_tree.find(tree, jnp.array([0.0, 1.9, 2.0, 3.0])).tolist()
    [1, 1, 3, 3]
    """
    mass = jnp.asarray(mass, jnp.float32)
    fine = jnp.zeros_like(mass)
    if low is not None:
        low = require.integers("low", low).astype(jnp.uint32)
        require.same_shape("low", low, "mass", mass)
        fine = _bits.unit_interval(low) * (total(tree) * 2.0**-23)
    return descend(tree, mass.ravel(), fine.ravel())[0].reshape(mass.shape)


@partial(jax.jit, inline=True)
def descend(tree: SumTree, mass: Array, fine: Array) -> tuple[Array, Array]:
    """`find` at `mass + fine`, float32 [B] each: the indices, int32 [B], and the leaves there.

    To a gradient both are constants: on a CPU the leaves move as bits, which have none.
    """
    tree, mass, fine = jax.lax.stop_gradient((tree, mass, fine))
    return descent.descend(tree.live, (tree.leaves, *tree.sums), mass, fine)


def _in_range(tree: SumTree, indices: ArrayLike) -> Array:
    """uint32 indices, `OUT` where they are outside [0, capacity)."""
    indices = require.integers("indices", indices)
    inside = (indices >= 0) & (indices < tree.capacity)
    return jnp.where(inside, indices.astype(jnp.uint32), OUT)


@partial(jax.jit, inline=True)
def _set(tree: SumTree, indices: Array, values: Array) -> SumTree:
    before, _ = computed_once(tree.live, _get(tree, indices))
    (indices,) = apart(after(indices, before, _ready(tree)))
    leaves, last = duplicates.last_rows(tree.live, tree.leaves, indices)
    indices = jnp.where(last, indices, OUT)
    return _put(tree, leaves, indices, values, _change(indices, values, before))[0]


def _get(tree: SumTree, indices: Array) -> Array:
    """`get` for uint32 indices that are in range or `OUT`."""
    return jnp.where(indices == OUT, 0, levels.read(indices, tree.leaves, indices))


@partial(jax.jit, inline=True, static_argnames="positive")
def replace(
    tree: SumTree, indices: Array, values: Array, *numbers: Array, positive: bool
) -> tuple[SumTree, tuple[Array, ...]]:
    """`set` where every leaf that is written over is above 0 now.

    Args:
      tree: the tree to write to.
      indices: uint32 [B] in range or `OUT`, B at least 1.
      values: float32 [B].
      numbers: [] each, that shall wait for the tree.
      positive: whether all values are known to be above 0 too.

    Returns:
      The tree, and the numbers, known once it is written.
    """
    indices, _ = computed_once(values, *apart(after(indices, _ready(tree))))
    leaves, last = duplicates.last_rows(values, tree.leaves, indices)
    indices = jnp.where(last, indices, OUT)
    change = 0 if positive else _change(indices, values, 1)
    return _put(tree, leaves, indices, values, change, *numbers)


@partial(jax.jit, inline=True)
def write(
    tree: SumTree, changes: ring.Changes, values: Array, *numbers: Array
) -> tuple[SumTree, tuple[Array, ...]]:
    """The tree with `values`, float32 [W, slots in a run], in the slots of the changes.

    It returns the numbers, [] each, too: known once the tree is written.
    """
    if not values.size:
        return tree, numbers
    slots, values = never_one(changes.slots, values)
    flat = tree.leaves.ravel()
    before = ring.runs(flat, slots, values.shape[1])
    before, _ = computed_once(slots, before, reads=flat.size)
    more = _change(slots[:, None], values, before)
    (more,) = apart(more)  # else a GPU reads the few old leaves of a small write as it writes
    counted = more.astype(jnp.float32)
    slots = after(slots, counted, _ready(tree))
    groups = known_late(changes.groups, counted)  # else ready early: see `computed_once`
    flat = ring.write_runs(flat, slots, values)
    return _refreshed(tree, flat, groups, values[:, 0], more, *numbers)


def _change(indices: Array, values: Array, before: Array | int) -> Array:
    """How many more leaves are above 0 with `values` in place of `before`, int32 []."""
    more = (values > 0).astype(jnp.int32) - jnp.asarray(before > 0).astype(jnp.int32)
    return jnp.sum(jnp.where(indices == OUT, 0, more), dtype=jnp.int32)


def _put(
    tree: SumTree, leaves: Array, indices: Array, values: Array, change: ArrayLike, *numbers: Array
) -> tuple[SumTree, tuple[Array, ...]]:
    """The tree with `values` at `indices` of `leaves`, no index twice but `OUT`."""
    indices, values = never_one(indices, values)
    flat = leaves.ravel().at[indices].set(values, mode="drop", unique_indices=True)
    return _refreshed(tree, flat, indices // GROUP, values, change, *numbers)


def _refreshed(
    tree: SumTree, flat: Array, groups: Array, values: Array, change: ArrayLike, *numbers: Array
) -> tuple[SumTree, tuple[Array, ...]]:
    """The tree with its leaves `flat`, where `values` were written to these `groups`.

    The numbers, and how many leaves are above 0, read the highest levels: a GPU computes what reads
    the same array in one operation.
    """
    leaves = flat.reshape(tree.leaves.shape)
    parents, reduces = [tree.sums], [levels.total]
    if tree.minima is not None:
        parents, reduces = [*parents, tree.minima], [*reduces, levels.smallest]
    sums, *minima = levels.refresh(values, parents, leaves, groups, reduces, _ready(tree))
    reads = [(leaves, *stored)[-1][0, 0] for stored in (sums, *minima)]
    late = [after(number, *reads) for number in (tree.live + change, *numbers)]
    live, *late = jax.lax.optimization_barrier(late)  # else a GPU reads the levels at each use
    return SumTree(leaves, sums, minima[0] if minima else None, live, tree.capacity), tuple(late)


def _ready(tree: SumTree) -> Array:
    """What is known when the last write has reached the highest level: the next write waits."""
    return tree.live.astype(jnp.float32)


def rebuild(tree: SumTree, leaves: Array) -> SumTree:
    """The tree with all its leaves, [groups, GROUP], replaced. Writes the whole tree."""
    return _build(leaves, tree.capacity, tree.minima is not None)


def _build(leaves: Array, capacity: int, minimum: bool) -> SumTree:
    minima = levels.build(leaves, levels.smallest) if minimum else None
    live = jnp.sum(leaves > 0, dtype=jnp.int32)
    return SumTree(leaves, levels.build(leaves, levels.total), minima, live, capacity)
