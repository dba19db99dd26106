"""What XLA has to be told, so that it writes in place and computes things once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

ONE_THREAD = 512  # values: measured, up to here two threads are slower than one

_IN_BOUNDS = jax.lax.GatherScatterMode.PROMISE_IN_BOUNDS
_COLUMN = jax.lax.ScatterDimensionNumbers((1,), (), (0,))  # updates [B, 1] to an operand [B]
_CELL = jax.lax.ScatterDimensionNumbers((1, 2), (), (0,))  # updates [1, 1, 1] to one [B, 1]


def after(value: Array, *reads: Array) -> Array:
    """`value`, which XLA takes to depend on `reads`: floats [] or of the shape of `value`.

    XLA copies a buffer before it writes to it where nothing orders an earlier read of that buffer
    first. An optimization barrier does not, since it is gone before copies are placed. A data
    dependence does: no float is both NaN and 0, which XLA does not know. Should it ever learn,
    the test of copies under donation turns red.
    """
    for read in reads:
        value = jnp.where((read != read) & (read == 0), jnp.zeros_like(value), value)
    return value


def computed_once(seed: Array, *values: Array) -> Any:
    """One array of 32-bit numbers, or two of one shape, which a CPU does not compute more than once.

    XLA fuses a chain of elementwise operations into every consumer on a CPU, each with all levels
    of a descent in it: a step of a million items took six times as long. It does not fuse a
    scatter, and a complex number carries two values through one kernel. Elsewhere this is nothing.

    Args:
      seed: any number of 32 bits that XLA does not know, [], but not one computed from the values.
      values: one array or two.
    """
    if len(values) == 1:
        return jax.lax.platform_dependent(
            seed, *values, cpu=stored, default=lambda seed, values: values
        )
    return jax.lax.platform_dependent(
        seed, *values, cpu=_materialised_pair, default=lambda seed, *pair: pair
    )


def _materialised_pair(seed: Array, first: Array, second: Array) -> tuple[Array, Array]:
    pair = jax.lax.complex(_as(first, jnp.float32), _as(second, jnp.float32))
    pair = stored(seed, pair)
    return _as(jax.lax.real(pair), first.dtype), _as(jax.lax.imag(pair), second.dtype)


def _as(values: Array, dtype: Any) -> Array:
    return jax.lax.bitcast_convert_type(values, dtype)


def stored(seed: Array, values: Array) -> Array:
    """`values` through a scatter, which computes them once; a few of them by one thread.

    XLA judges a gather by the size of the whole array that it reads and gives it to all threads,
    where to start and to join them takes longer than to gather a batch. It leaves to one thread
    what ends in an update of a slice of a larger buffer, if it cannot see through that buffer.
    """
    column = values.reshape(-1, 1)
    if 0 < values.size <= ONE_THREAD:
        column = jax.lax.dynamic_update_slice(_buffer(seed, column), column, (0, 0))
    rows = np.arange(len(column), dtype=np.int32)[:, None]
    empty = jnp.zeros(len(column), values.dtype)
    written = jax.lax.scatter(empty, rows, column, _COLUMN, unique_indices=True, mode=_IN_BOUNDS)
    return written[: values.size].reshape(values.shape)


def _buffer(seed: Array, column: Array) -> Array:
    """[rows + 1, 1], written to at a place that XLA does not know."""
    empty = jnp.zeros((len(column) + 1, 1), column.dtype)
    place = (_as(seed, jnp.uint32) & 1).astype(jnp.int32).reshape(1, 1)
    one = jnp.ones((1, 1, 1), column.dtype)
    return jax.lax.scatter(empty, place, one, _CELL, unique_indices=True, mode=_IN_BOUNDS)
