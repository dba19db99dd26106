"""Importance-sampling weights, which correct a loss for the preferences of the draw."""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxper.replay.shards import AxisName, min_over_shards


def importance_weights(probabilities: ArrayLike, size: ArrayLike, beta: ArrayLike) -> Array:
    """Computes importance-sampling weights, not normalized.

        w_i = (N P(i))^-beta,    and 0 if P(i) is 0

    Args:
      probabilities: P(i), the chance of each item to be one draw; float32, any shape.
      size: N, the number of items that could be drawn; a scalar.
      beta: how far the bias of the draw is corrected: 0 not at all, 1 in full.

    Returns:
      float32 weights of the shape of `probabilities`.

    >>> importance_weights(jnp.array([0.5, 0.125, 0.0]), 4, beta=1.0).tolist()
    [0.5, 2.0, 0.0]

    Source: Schaul et al. 2016, section 3.4.
    """
    probabilities = jnp.asarray(probabilities, jnp.float32)
    drawable = probabilities > 0
    size = jnp.asarray(size, jnp.float32)
    # A ratio of 1 in place of 0, whose power would have a NaN for a gradient.
    ratio = jnp.where(drawable, size * probabilities, 1)
    return jnp.where(drawable, ratio ** -jnp.asarray(beta, jnp.float32), 0)


def normalize_weights(
    leaves: Array, smallest: Array, total: Array, beta: ArrayLike, axis_name: AxisName
) -> Array:
    """Computes importance-sampling weights, divided by the weight of the leaf `smallest`.

        w_i = exp(beta (log smallest - log leaf_i)),    and 0 if leaf_i is 0

    N and the total cancel, and as a difference of logarithms no quotient under- or overflows. Over
    shards the totals differ: the smallest is then the leaf of the least probable draw of any shard,
    scaled to this shard's total.

    Args:
      leaves: float32 [B], the leaves that were drawn.
      smallest: float32 [], the leaf whose weight is to be 1.
      total: float32 [], the sum of this shard's leaves.
      beta: float32 [].
      axis_name: the axis of the shards, or None.
    """
    drawable = leaves > 0
    log_leaves = jnp.log(jnp.where(drawable, leaves, 1))
    log_smallest = _log_smallest(smallest, total, axis_name)
    beta = jnp.asarray(beta, jnp.float32)
    return jnp.where(drawable, jnp.exp(beta * (log_smallest - log_leaves)), 0)


def _log_smallest(smallest: Array, total: Array, axis_name: AxisName) -> Array:
    """Returns log `smallest`; over shards, rescaled to this shard's total."""
    there = (smallest > 0) & (smallest < jnp.inf)
    log_smallest = jnp.log(jnp.where(there, smallest, 1))
    if axis_name is None:
        return log_smallest
    log_total = jnp.log(jnp.where(total > 0, total, 1))
    # The logarithm of a probability is at most 0, so the 0 of an empty shard never wins.
    return min_over_shards(log_smallest - log_total, axis_name) + log_total
