"""Numbers about a replay for logging, scalars that a compiled step can return."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxper import sum_tree
from jaxper.tree import levels


class Stats(NamedTuple):
    """The state of a replay in scalars; all 0 but `max_priority` where nothing was added yet.

    `total`, `mean`, `smallest` and `largest` are of the leaves, (priority + epsilon)^alpha, and
    `max_priority` is a priority. In a stream `size` counts the live starts, `fill` all steps. As
    many equal leaves as the effective sample size would spread the draws as much.
    """

    size: Array  # int32 [], live slots
    fill: Array  # float32 [], stored items / capacity
    total: Array  # float32 [], sum of the leaves
    mean: Array  # float32 [], total / size
    smallest: Array  # float32 [], smallest live leaf
    largest: Array  # float32 [], largest leaf
    effective_sample_size: Array  # float32 [], in [1, size]
    max_priority: Array  # float32 [], the largest seen, which a new item gets
    rejected: Array  # uint32 [], rows ignored for a NaN, infinite or negative priority
    stale: Array  # uint32 [], rows ignored because the id was gone or not live


@partial(jax.jit, inline=True)
def of_tree(tree: sum_tree.SumTree) -> dict[str, Array]:
    """The statistics of the leaves, by name. Reads the whole tree: O(capacity).

        effective sample size = (sum of leaves)^2 / (sum of squared leaves)

    The leaves are scaled by the largest before they are squared, so nothing overflows.
    """
    leaves, size = tree.leaves, tree.live
    largest = jnp.max(leaves)
    scaled = leaves / jnp.where(largest > 0, largest, 1)
    squares = _sum(scaled**2)
    smallest = jnp.min(jnp.where(leaves > 0, leaves, jnp.inf))
    return {
        "size": size,
        "total": sum_tree.total(tree),
        "mean": sum_tree.total(tree) / jnp.maximum(size, 1).astype(jnp.float32),
        "smallest": jnp.where(size > 0, smallest, 0),
        "largest": largest,
        "effective_sample_size": _sum(scaled) ** 2 / jnp.maximum(squares, 1),
    }


def _sum(leaves: Array) -> Array:
    """Level by level as the tree adds, which loses less than one long sum."""
    return levels.root((leaves, *levels.build(leaves, levels.total))[-1], levels.total)
