"""Of rows that name the same leaf, the last one.

Few rows are compared each with each. Many, and on a CPU also not so many, are told apart with
the help of the leaves: each row writes a negative float at its index and the smallest stays, a
scatter and no sort. Every leaf written over belongs to a last row, whose value it must get.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering import in_place as _xla
from jaxper.tree import levels

FEW = 64  # rows: so few every backend compares
FEW_ON_A_GPU = 2048  # rows: so few all but a CPU compare


def last_rows(scratch: Array, leaves: Array, indices: Array) -> tuple[Array, Array]:
    """Which rows are the last of their index, bool [B], and the leaves to write to.

    Args:
      scratch: that of `computed_once`.
      leaves: float32 [groups, GROUP].
      indices: uint32 [B], of leaves or out of range.
    """
    if indices.size <= FEW:
        return _compared(scratch, leaves, indices)
    if indices.size <= FEW_ON_A_GPU:
        leaves = _xla.varying_as(leaves, indices)
        return jax.lax.platform_dependent(scratch, leaves, indices, cpu=_claimed, default=_compared)
    return _claimed(scratch, leaves, indices)


def _compared(scratch: Array, leaves: Array, indices: Array) -> tuple[Array, Array]:
    row = jax.lax.iota(jnp.int32, indices.size)
    indices = jax.lax.optimization_barrier(indices)  # else a GPU writes all pairs to memory
    same = indices[:, None] == indices[None]
    return leaves, jnp.max(jnp.where(same, row[None], 0), axis=1) == row


def _claimed(scratch: Array, leaves: Array, indices: Array) -> tuple[Array, Array]:
    claims = _below_zero(jax.lax.iota(jnp.uint32, indices.size))
    flat = leaves.ravel().at[indices].min(claims, mode="drop")
    leaves = flat.reshape(leaves.shape)
    return leaves, levels.read(scratch, leaves, indices) == claims


def _below_zero(numbers: Array) -> Array:
    """Normal floats below 0, the smaller the larger the number, which is below 2^31 - 2^24."""
    first = np.float32(-np.finfo(np.float32).tiny).view(np.uint32)
    return jax.lax.bitcast_convert_type(first + numbers, jnp.float32)
