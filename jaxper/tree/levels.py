"""The levels above the leaves of a wide tree: the reduction of each group of children.

A parent is always recomputed from its children and never adjusted by differences: nothing drifts,
and writing a leaf twice cannot corrupt the levels above it. Levels are stored up to a small one;
the few nodes above that are computed by whoever asks for them.
"""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering import limits
from jaxper.lowering.gather import gather_whole_rows
from jaxper.lowering.once import compute_once
from jaxper.lowering.order import delay
from jaxper.lowering.trail import Trail

# Children of a node.
GROUP = 16

# From the GROUP children of each node to the node.
Reduce = Callable[[Sequence[Array]], Array]


def build(level: Array, reduce: Reduce) -> tuple[Array, ...]:
    """Computes the levels above `level` that are stored, each of them whole."""
    levels = []
    while len(level) > limits.ANY_TOP_LEVEL_ROWS:
        level = _parents(level, reduce)
        levels.append(level)
    return tuple(levels)


def refresh(
    trail: Trail,
    parents: Sequence[tuple[Array, ...]],
    leaves: Array,
    groups: Array,
    reduces: Sequence[Reduce],
    written: Array,
) -> list[tuple[Array, ...]]:
    """Recomputes the parents of some groups of leaves, level by level, after a write to them.

    Args:
      trail: starts at the values that were written.
      parents: the stored levels, for each reduction.
      leaves: float32 [groups, GROUP].
      groups: uint32 [B], those that were written to.
      reduces: one or two reductions, which go up side by side.
      written: float32 [], known once the write before this one is complete.

    Returns:
      The stored levels for each reduction.
    """
    below = [leaves] * len(reduces)
    refreshed: list[tuple[Array, ...]] = [()] * len(reduces)
    rows = [groups] * len(reduces)
    if len(reduces) > 1 and parents[0]:
        rows[1] = delay(groups, until=written)
    for old in zip(*parents, strict=True):
        reduced = [
            reduce(gather_whole_rows(level, row))
            for reduce, level, row in zip(reduces, below, rows, strict=True)
        ]
        nodes = trail.step(*reduced, source_size=sum(level.size for level in below))
        below = [
            level.ravel().at[row].set(node, mode="drop").reshape(level.shape)
            for level, row, node in zip(old, rows, nodes, strict=True)
        ]
        refreshed = [(*done, level) for done, level in zip(refreshed, below, strict=True)]
        rows = [row // GROUP for row in rows]
    return refreshed


def find_groups(first: Array, length: int, capacity: int) -> Array:
    """Returns the groups of `length` leaves from `first` on, which may wrap; uint32 [G], G above 1.

    Takes the group of every `GROUP`th leaf of the run, of its last leaf, and of the last leaf of
    all: a run that wraps can step over the last group, which may be shorter.
    """
    last = -(-length // GROUP) + 1
    number = jnp.arange(last + 1, dtype=jnp.uint32)
    run = first + jnp.minimum(number * GROUP, np.uint32(max(length - 1, 0)))
    run = jnp.where(run < capacity, run, run - np.uint32(capacity))
    return jnp.where(number == last, np.uint32(capacity - 1), run) // GROUP


def read(level: Array, places: Array, after: Array | None = None) -> Array:
    """Reads a level at uint32 `places`, of any shape [B]; one out of range reads the last."""
    values = level.ravel().at[places].get(mode="clip")
    return compute_once(values, places if after is None else after, source_size=level.size)


def compute_unstored(level: Array, reduce: Reduce) -> list[Array]:
    """Computes the levels above the highest stored `level`; the last of them has one row."""
    levels = [_parents(level, reduce)]
    while len(levels[-1]) > 1:
        levels.append(_parents(levels[-1], reduce))
    return levels


def reduce_to_root(level: Array, reduce: Reduce) -> Array:
    """Reduces everything below the highest stored `level` to one number []."""
    return reduce(list(compute_unstored(level, reduce)[-1][0]))


def _parents(level: Array, reduce: Reduce) -> Array:
    """Reduces each row of a level, filled up with zeros to whole groups: [rows, GROUP]."""
    nodes = reduce([level[:, k] for k in range(GROUP)])
    return jnp.pad(nodes, (0, -nodes.size % GROUP)).reshape(-1, GROUP)


def add(children: Sequence[Array]) -> Array:
    """Adds up the children of each node, in one order: the same bits however it is compiled."""
    while len(children) > 1:
        children = [a + b for a, b in zip(children[::2], children[1::2], strict=True)]
    return children[0]


def positive_min(children: Sequence[Array]) -> Array:
    """Returns the smallest child above 0 of each node; infinity if there is none."""
    positive = [jnp.where(child > 0, child, jnp.inf) for child in children]
    while len(positive) > 1:
        positive = [jnp.minimum(a, b) for a, b in zip(positive[::2], positive[1::2], strict=True)]
    return positive[0]
