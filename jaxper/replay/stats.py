"""Statistics of a replay for logging: scalars that a compiled step can return."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxper.tree import core, levels
from jaxper.tree.core import SumTree


class Stats(NamedTuple):
    """The state of a replay in scalars; all 0 except `max_priority` before the first add.

    `total`, `mean`, `smallest` and `largest` describe the leaves, (priority + epsilon)^alpha, and
    `max_priority` is a priority. In a stream `size` counts the live starts, `fill` all steps. With
    an effective sample size of n, draws are spread as over n equal leaves.
    """

    size: Array  # int32 [], live slots
    fill: Array  # float32 [], stored items / capacity
    total: Array  # float32 [], sum of the leaves
    mean: Array  # float32 [], total / size
    smallest: Array  # float32 [], smallest live leaf
    largest: Array  # float32 [], largest leaf
    effective_sample_size: Array  # float32 [], in [1, size], or 0
    max_priority: Array  # float32 [], largest since the last reset; a new item gets it, at least 1
    rejected: Array  # uint32 [], priorities that were NaN, infinite or negative
    stale: Array  # uint32 [], rows ignored because the id was gone or not live


@partial(jax.jit, inline=True)
def describe_tree(tree: SumTree) -> dict[str, Array]:
    """Computes the statistics of the leaves, by name. Reads the whole tree: O(capacity).

        effective sample size = (sum of leaves)^2 / (sum of squared leaves)

    The leaves are scaled by the largest before they are squared, so nothing overflows.
    """
    leaves, size = tree.leaves, tree.live
    largest = jnp.max(leaves)
    scaled = leaves / jnp.where(largest > 0, largest, 1)
    squares = _add_up(scaled**2)
    smallest = jnp.min(jnp.where(leaves > 0, leaves, jnp.inf))
    return {
        "size": size,
        "total": core.total(tree),
        "mean": core.total(tree) / jnp.maximum(size, 1).astype(jnp.float32),
        "smallest": jnp.where(size > 0, smallest, 0),
        "largest": largest,
        "effective_sample_size": _add_up(scaled) ** 2 / jnp.maximum(squares, 1),
    }


def _add_up(leaves: Array) -> Array:
    """Adds level by level as the tree does, which loses less than one long sum."""
    return levels.reduce_to_root((leaves, *levels.build(leaves, levels.add))[-1], levels.add)
