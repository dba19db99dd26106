"""Of rows that name the same leaf, the last one.

Few rows are compared each with each. Many, and on a CPU also not so many, are told apart with
the help of the leaves: each row writes its negative number at its index and the smallest stays, a
scatter and no sort. Every leaf written over belongs to a last row, whose value it must get.
"""

import jax
import jax.numpy as jnp
from jax import Array

from jaxper import levels

MOST = 2**24  # rows that float32 can number
FEW = 64  # rows that every backend compares, and
FEW_ON_A_GPU = 2048  # those that only a CPU does not


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
        return jax.lax.platform_dependent(scratch, leaves, indices, cpu=_claimed, default=_compared)
    return _claimed(scratch, leaves, indices)


def _compared(scratch: Array, leaves: Array, indices: Array) -> tuple[Array, Array]:
    row = jax.lax.iota(jnp.int32, indices.size)
    indices = jax.lax.optimization_barrier(indices)  # else a GPU writes all pairs to memory
    same = indices[:, None] == indices[None]
    return leaves, jnp.max(jnp.where(same, row[None], 0), axis=1) == row


def _claimed(scratch: Array, leaves: Array, indices: Array) -> tuple[Array, Array]:
    claims = -jax.lax.iota(jnp.float32, indices.size)  # at most as large as any leaf
    flat = leaves.ravel().at[indices].min(claims, mode="drop")
    leaves = flat.reshape(leaves.shape)
    return leaves, levels.read(scratch, leaves, indices) == claims
