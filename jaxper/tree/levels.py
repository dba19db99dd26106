"""The levels above the leaves of a wide tree: what each group of children reduces to.

A parent is always recomputed from its children and never adjusted by differences: nothing drifts,
and writing a leaf twice cannot corrupt what stands above it. Stored are levels up to one of at most
`TOP` rows; the few nodes above it are computed where they are asked for, once in a step in place of
once in every write.
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering.gather import gathered
from jaxper.lowering.in_place import computed_once, known_late

GROUP = 16  # children per node
TOP = 256  # rows of the highest level that is stored

Reduce = Callable[[Sequence[Array]], Array]  # of the `GROUP` children of each node


def build(level: Array, reduce: Reduce) -> tuple[Array, ...]:
    """The levels above `level` that are stored, each computed whole."""
    levels = []
    while len(level) > TOP:
        level = _reduced(level, reduce)
        levels.append(level)
    return tuple(levels)


def refresh(
    scratch: Array,
    parents: Sequence[tuple[Array, ...]],
    leaves: Array,
    groups: Array,
    reduces: Sequence[Reduce],
    known: Array,
) -> list[tuple[Array, ...]]:
    """The `parents` of `leaves` by one or two reductions after a write to their rows `groups`.

    Args:
      scratch: that of `computed_once`, which both reductions go through side by side.
      parents: for each reduction the levels that are stored.
      leaves: float32 [groups, GROUP].
      groups: uint32 [B].
      reduces: the reductions.
      known: float32 [], known before the write, but not to XLA.
    """
    below = [leaves] * len(reduces)
    written: list[tuple[Array, ...]] = [()] * len(reduces)
    rows = [groups] * len(reduces)
    if len(reduces) > 1 and parents[0]:
        # Known to be the same rows, a CPU would gather them for both, and fuse with neither.
        rows[1] = known_late(groups, known)
    for stored in zip(*parents, strict=True):
        reduced = [
            reduce(_rows_on_a_gpu(level, row))
            for reduce, level, row in zip(reduces, below, rows, strict=True)
        ]
        reads = sum(level.size for level in below)
        *values, scratch = computed_once(scratch, *reduced, reads=reads)
        below = [
            level.ravel().at[row].set(new, mode="drop").reshape(level.shape)
            for level, row, new in zip(stored, rows, values, strict=True)
        ]
        written = [(*done, level) for done, level in zip(written, below, strict=True)]
        rows = [row // GROUP for row in rows]
    return written


def groups_of(first: Array, count: int, capacity: int) -> Array:
    """The groups that `count` slots of a ring from `first` on are in, uint32 [G], G above 1.

    Those of every `GROUP`th of these slots, of their last one, and of the ring's last one: stepping
    over the ring's end may miss its group, which has fewer leaves where it is not full.
    """
    last = -(-count // GROUP) + 1
    number = jnp.arange(last + 1, dtype=jnp.uint32)
    slots = first + jnp.minimum(number * GROUP, np.uint32(max(count - 1, 0)))
    slots = jnp.where(slots < capacity, slots, slots - np.uint32(capacity))
    return jnp.where(number == last, np.uint32(capacity - 1), slots) // GROUP


def children(level: Array, rows: Array) -> list[Array]:
    """The `GROUP` children in each of the `rows`, uint32 [B]: as many arrays [B].

    A row out of range counts as one of the level's.

    They are gathered column by column, which XLA fuses with what becomes of them. By row and column
    a GPU would, under `vmap`, compute the indices of each column in an operation of its own, so
    there it takes places of the flat level. A CPU takes each of those apart by itself.
    """
    return jax.lax.platform_dependent(level, rows, cpu=_by_columns, default=_by_places)


def _rows_on_a_gpu(level: Array, rows: Array) -> list[Array]:
    """`children`; a GPU gathers whole rows, in fewer operations where nothing is chosen."""
    return jax.lax.platform_dependent(level, rows, cpu=_by_columns, default=_by_rows)


def _by_columns(level: Array, rows: Array) -> list[Array]:
    return [level.at[rows, k].get(mode="clip") for k in range(GROUP)]


def _by_places(level: Array, rows: Array) -> list[Array]:
    first = jnp.minimum(rows, np.uint32(len(level) - 1)) * np.uint32(GROUP)
    return [gathered(level.ravel(), first + np.uint32(k)) for k in range(GROUP)]


def _by_rows(level: Array, rows: Array) -> list[Array]:
    whole = level.at[rows].get(mode="clip")
    return [whole[:, k] for k in range(GROUP)]


def read(scratch: Array, level: Array, places: Array) -> Array:
    """What stands at uint32 `places` of a level; at one out of range its last."""
    values = level.ravel().at[places].get(mode="clip")
    return computed_once(scratch, values, reads=level.size)[0]


def above(level: Array, reduce: Reduce) -> list[Array]:
    """The levels above the highest stored `level`: the last has one row."""
    levels = [_reduced(level, reduce)]
    while len(levels[-1]) > 1:
        levels.append(_reduced(levels[-1], reduce))
    return levels


def root(level: Array, reduce: Reduce) -> Array:
    """What everything below the highest stored `level` reduces to, []."""
    return reduce(list(above(level, reduce)[-1][0]))


def _reduced(level: Array, reduce: Reduce) -> Array:
    """The level above `level`: what its rows reduce to, filled up with zeros, [rows, GROUP]."""
    nodes = reduce([level[:, k] for k in range(GROUP)])
    return jnp.pad(nodes, (0, -nodes.size % GROUP)).reshape(-1, GROUP)


def total(columns: Sequence[Array]) -> Array:
    """Their sums, in one order of additions: the same bits however they are compiled."""
    while len(columns) > 1:
        columns = [a + b for a, b in zip(columns[::2], columns[1::2], strict=True)]
    return columns[0]


def smallest(columns: Sequence[Array]) -> Array:
    """The smallest of them that is above 0; infinity where there is none."""
    positive = [jnp.where(column > 0, column, jnp.inf) for column in columns]
    while len(positive) > 1:
        positive = [jnp.minimum(a, b) for a, b in zip(positive[::2], positive[1::2], strict=True)]
    return positive[0]
