"""The last row of a batch to write each leaf.

The rows of a small batch are compared each with each. Those of a large one are told apart with the
help of the leaves: each row writes a negative float at its index and the smallest stays, a scatter
and no sort. Only leaves that the update is about to write are overwritten.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering.by_size import compare_or_claim
from jaxper.lowering.order import settle_everywhere
from jaxper.tree import levels


def find_last(leaves: Array, indices: Array, after: Array) -> tuple[Array, Array]:
    """Finds the rows that are the last of their index.

    Args:
      leaves: float32 [groups, GROUP].
      indices: uint32 [B], of leaves or out of range.
      after: an array; the result is not ready before its first number is. Take one that is known
        at about the same time.

    Returns:
      The leaves to write to, which may hold claims in place of those about to be overwritten; and
      which rows are the last of their index, bool [B].
    """
    return compare_or_claim(_compare, _claim, leaves, indices, after)


def _compare(leaves: Array, indices: Array, after: Array) -> tuple[Array, Array]:
    row = jax.lax.iota(jnp.int32, indices.size)
    (indices,) = settle_everywhere(indices)
    same = indices[:, None] == indices[None]
    return leaves, jnp.max(jnp.where(same, row[None], 0), axis=1) == row


def _claim(leaves: Array, indices: Array, after: Array) -> tuple[Array, Array]:
    claims = _below_zero(jax.lax.iota(jnp.uint32, indices.size))
    flat = leaves.ravel().at[indices].min(claims, mode="drop")
    leaves = flat.reshape(leaves.shape)
    return leaves, levels.read(leaves, indices, after) == claims


def _below_zero(numbers: Array) -> Array:
    """Maps numbers below 2^31 - 2^24 to normal floats below 0, the larger the further down."""
    first = np.float32(-np.finfo(np.float32).tiny).view(np.uint32)
    return jax.lax.bitcast_convert_type(first + numbers, jnp.float32)
