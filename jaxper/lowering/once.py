"""Values that are computed once, however many operations use them.

CPU: rule "fusion" of README.md. XLA fuses a chain of elementwise operations into every consumer,
each with all levels of a descent in it: a step of a million items took six times as long. It does
not fuse across a scatter, so the values pass through one that writes nothing.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering import bits, limits
from jaxper.lowering.order import some_bits, vary_like

_DROP = jax.lax.GatherScatterMode.FILL_OR_DROP
# Updates [N, 1] to rows of an operand [B, W].
_TO_ROWS = jax.lax.ScatterDimensionNumbers((1,), (0,), (0,))


def compute_once(value: Array, after: Array, *, source_size: int = 0) -> Array:
    """Returns `value`, which a CPU computes once and not again in each operation that uses it.

    Args:
      value: numbers of whole bytes [B, ...].
      after: an array; the result is not ready before its first number is. Take one that is known
        at about the same time.
      source_size: how many numbers the array has that `value` is gathered from.
    """
    (value,), _ = materialize(after, value, source_size=source_size)
    return value


def materialize(
    scratch: Array, *values: Array, source_size: int = 0
) -> tuple[tuple[Array, ...], Array]:
    """Computes values once on a CPU; on other platforms they are returned as they are.

    Args:
      scratch: an array whose first number XLA does not know, best one that is known no earlier than
        the values can be computed. Or the buffer that an earlier call returned, if nothing needs
        the values in it any more: these are written over them. A scratch that is ready early would
        break the rule "eight operations" of README.md.
      values: one array [B, ...] of numbers of whole bytes, or two [B] of 32-bit numbers: a complex
        number carries both through one kernel.
      source_size: how many numbers the array has that the values are gathered from.

    Returns:
      The values, and the buffer that they lie in.
    """
    if not values[0].size:
        return values, scratch

    def on_cpu(scratch: Array, *values: Array) -> tuple[Array, ...]:
        rows = _join(values)
        if _takes_one_thread(len(rows), source_size):
            rows = jax.lax.dynamic_update_slice(_opaque_buffer(scratch, rows), rows, (0, 0))
        rows = _fence(rows)
        return *_split(rows[: len(values[0])], values), rows

    def elsewhere(scratch: Array, *values: Array) -> tuple[Array, ...]:
        rows = jax.eval_shape(on_cpu, scratch, *values)[-1]
        return *values, jnp.full(rows.shape, some_bits(values[0]), rows.dtype)

    values = tuple(vary_like(value, scratch, *values) for value in values)
    *once, buffer = jax.lax.platform_dependent(scratch, *values, cpu=on_cpu, default=elsewhere)
    return tuple(once), buffer


def _takes_one_thread(rows: int, source_size: int) -> bool:
    """Whether XLA would use two threads for a batch that one thread computes faster."""
    xla_uses_two = (
        source_size > limits.CPU_XLA_LARGE_ARRAY_NUMBERS or rows > limits.CPU_XLA_ONE_THREAD_ROWS
    )
    return rows <= limits.CPU_ONE_THREAD_ROWS and xla_uses_two


def _join(values: tuple[Array, ...]) -> Array:
    """Packs the values into one array [B, W] of words, or of pairs of them."""
    if len(values) == 1:
        words = bits.as_bits(values[0])
    else:
        words = jax.lax.complex(*(bits.from_bits(jnp.float32, value) for value in values))
    return words.reshape(len(words), math.prod(words.shape[1:]))


def _split(rows: Array, like: tuple[Array, ...]) -> tuple[Array, ...]:
    """Takes apart the rows that `_join` packed."""
    parts = (rows,) if len(like) == 1 else (jax.lax.real(rows), jax.lax.imag(rows))
    return tuple(
        bits.from_bits(value.dtype, part).reshape(value.shape)
        for part, value in zip(parts, like, strict=True)
    )


def _fence(rows: Array) -> Array:
    """Passes `rows`, [B, W], through a scatter that writes nothing, which XLA does not fuse across.

    The scatter has two updates: one alone XLA would turn into an update of a slice.
    """
    out_of_range = _column(len(rows), len(rows) + 1, dtype=jnp.int32)
    nothing = _column(1, 0, dtype=rows.dtype)
    return jax.lax.scatter(rows, out_of_range, nothing, _TO_ROWS, unique_indices=True, mode=_DROP)


def _column(*numbers: int, dtype: Any) -> Array:
    """Stacks the numbers as an array [N, 1].

    Built by JAX and not by NumPy: jax 0.10 cannot take a NumPy constant out of a `custom_vmap` for
    `cond` under `vmap`.
    """
    return jnp.concatenate([jnp.full((1, 1), number, dtype) for number in numbers])


def _opaque_buffer(scratch: Array, rows: Array) -> Array:
    """Makes a buffer one row longer than `rows` whose contents XLA cannot see.

    XLA gives to all threads whatever computes much or reads from a large array, however little of
    it, and to start and to join them takes longer than to gather a batch. It leaves to one thread
    whatever ends in an update of a slice of a larger buffer, if it cannot see through that buffer.
    """
    shape = (len(rows) + 1, rows.shape[1])
    if scratch.shape == shape and scratch.dtype == rows.dtype:
        return scratch
    number = some_bits(scratch)
    filled = jnp.full(shape, number, rows.dtype)
    one = jnp.ones((1, 1), rows.dtype)
    place = ((number & 1).astype(jnp.int32), np.int32(0))
    return jax.lax.dynamic_update_slice(filled, one, place)
