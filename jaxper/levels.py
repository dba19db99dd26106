"""The levels above the leaves of a wide tree: what each group of children reduces to.

A parent is always recomputed from its children and never adjusted by differences: nothing drifts,
and writing a leaf twice cannot corrupt what stands above it.
"""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

GROUP = 16  # children per node
DENSE = 256  # a level of at most so many nodes is rebuilt whole: measured faster than row by row


def build(level: Array, reduce: Callable[[Array], Array]) -> tuple[Array, ...]:
    """All levels above `level`, each computed whole."""
    levels = []
    while len(level) > 1:
        level = _rows_of_children(reduce(level))
        levels.append(level)
    return (*levels, reduce(level[0]))


def refresh(
    parents: tuple[Array, ...], level: Array, groups: Array, reduce: Callable[[Array], Array]
) -> tuple[Array, ...]:
    """`parents` of `level` after a write to its rows `groups`, uint32 [B]."""
    if not parents:
        return ()
    levels = []
    for parent in parents[:-1]:
        if parent.size <= DENSE:
            level = _rows_of_children(reduce(level))
        else:
            values = reduce(level.at[groups].get(mode="clip"))
            level = parent.at[groups // GROUP, groups % GROUP].set(values, mode="drop")
        groups = groups // GROUP
        levels.append(level)
    return (*levels, reduce(level[0]))


def _rows_of_children(nodes: Array) -> Array:
    padding = -nodes.size % GROUP
    return jnp.pad(nodes, (0, padding)).reshape(-1, GROUP)


def total(children: Array) -> Array:
    """Sums of the rows, in one order of additions: the same bits however they are compiled."""
    columns = [children[..., k] for k in range(GROUP)]
    while len(columns) > 1:
        columns = [a + b for a, b in zip(columns[::2], columns[1::2], strict=True)]
    return columns[0]


def smallest(children: Array) -> Array:
    return jnp.min(jnp.where(children > 0, children, jnp.inf), axis=-1)
