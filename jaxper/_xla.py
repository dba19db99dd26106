"""What XLA has to be told, so that it writes in place and computes things once."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

MOST_ON_ONE_THREAD = 512  # values: measured, up to here two threads are slower than one
FEW = 64  # values that one thread gets from XLA itself, unless they are
LARGE = 2**16  # values long what they are read from

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


def computed_once(seed: Array, *values: Array, reads: int = 0) -> Any:
    """One array of 32-bit numbers, or two of one shape, which a CPU computes only once.

    XLA fuses a chain of elementwise operations into every consumer on a CPU, each with all levels
    of a descent in it: a step of a million items took six times as long. It does not fuse a
    scatter, and a complex number carries two values through one kernel. Elsewhere this is nothing.

    Args:
      seed: any number of 32 bits that XLA does not know, [], but not one computed from the values.
      values: one array or two.
      reads: size of the array from which they are gathered.
    """

    def once(seed: Array, *values: Array) -> Any:
        if len(values) == 1:
            return stored(seed, *values, reads=reads)
        pair = jax.lax.complex(*(_as(array, jnp.float32) for array in values))
        pair = stored(seed, pair, reads)
        parts = jax.lax.real(pair), jax.lax.imag(pair)
        return tuple(_as(part, array.dtype) for part, array in zip(parts, values, strict=True))

    def as_they_are(seed: Array, *values: Array) -> Any:
        return values if len(values) != 1 else next(iter(values))

    return jax.lax.platform_dependent(seed, *values, cpu=once, default=as_they_are)


def _as(values: Array, dtype: Any) -> Array:
    return jax.lax.bitcast_convert_type(values, dtype)


def stored(seed: Array, values: Array, reads: int = 0) -> Array:
    """`values` through a scatter, which computes them once; where that pays, on one thread.

    XLA gives to all threads what computes much or reads from a large array, however little of it,
    and to start and to join them takes longer than to gather a batch. It leaves to one thread what
    ends in an update of a slice of a larger buffer, if it cannot see through that buffer.
    """
    column = values.reshape(-1, 1)
    if 0 < values.size <= MOST_ON_ONE_THREAD and (reads > LARGE or values.size > FEW):
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
