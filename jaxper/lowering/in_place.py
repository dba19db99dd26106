"""What XLA has to be told, so that it writes in place and computes things once."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering import bits as _bits

NOWHERE = np.uint32(2**32 - 1)  # a place out of range of any array: a write to it is dropped
MOST_ON_ONE_THREAD = 512  # rows: measured, up to here two threads are slower than one
FEW = 64  # rows: so few XLA itself leaves to one thread, if they are not of a large array
LARGE = 2**16  # values of an array that is not yet large

_DROP = jax.lax.GatherScatterMode.FILL_OR_DROP
_ROW = jax.lax.ScatterDimensionNumbers((1,), (0,), (0,))  # updates [N, 1] to an operand [B, W]


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


def known_late(value: Array, read: Array) -> Array:
    """`value`, on a CPU `after` what is read."""
    value = varying_as(value, read)
    return jax.lax.platform_dependent(value, read, cpu=after, default=lambda value, _: value)


def varying_as(value: Array, *others: Array) -> Array:
    """`value`, which `shard_map` then takes to vary over the mesh axes that the `others` vary over.

    It refuses branches for platforms if one makes its result of what differs between devices, and
    another of what does not. Of this nothing is left when compiled.
    """
    for other in others:
        if value.size and other.size:
            value = jnp.where(False, _number(other).astype(value.dtype), value)
    return value


def never_one(places: Array, rows: Array) -> tuple[Array, Array]:
    """Places, uint32 [B], and the rows [B, ...] to scatter there: of one row two, one out of range.

    XLA makes the scatter of one row an update of a slice, and what reads the array next it computes
    together with that update, from the array before it. So it copies the array first.
    """
    if len(places) != 1:
        return places, rows
    return jnp.append(places, NOWHERE), jnp.concatenate([rows, rows])


def scattered(array: Array, places: Array, rows: Array) -> Array:
    """`array` with rows [B, ...] at `places`, uint32 [B], no place twice but `NOWHERE`."""
    places, rows = never_one(places, rows)
    return array.at[places].set(rows, mode="drop", unique_indices=True)


def computed_once(scratch: Array, *values: Array, reads: int = 0) -> tuple[Array, ...]:
    """One array of numbers of whole bytes, or two of 32 bits, which a CPU computes only once.

    XLA fuses a chain of elementwise operations into every consumer on a CPU, each with all levels
    of a descent in it: a step of a million items took six times as long. It does not fuse a
    scatter, and a complex number carries two values through one kernel. Elsewhere this is nothing.

    Args:
      scratch: an array of numbers whose first one XLA does not know; not the values, but
        best something that is known no earlier than they can be computed. Or the scratch of an
        earlier call whose values nothing needs any more: these are written over it. So no scratch
        is ready early: where more than eight operations are, XLA wakes its second thread, which
        takes longer than all of them.
      values: one array [B, ...], or two [B].
      reads: size of the array from which they are gathered.

    Returns:
      The values, and the scratch that they are in.
    """
    if not values[0].size:
        return *values, scratch

    def once(scratch: Array, *values: Array) -> tuple[Array, ...]:
        rows = _packed(values)
        if len(rows) <= MOST_ON_ONE_THREAD and (reads > LARGE or len(rows) > FEW):
            rows = jax.lax.dynamic_update_slice(_buffer(scratch, rows), rows, (0, 0))
        rows = _untouched(rows)
        return *_unpacked(rows[: len(values[0])], values), rows

    def as_they_are(scratch: Array, *values: Array) -> tuple[Array, ...]:
        rows = jax.eval_shape(once, scratch, *values)[-1]
        return *values, jnp.full(rows.shape, _number(values[0]), rows.dtype)

    values = tuple(varying_as(value, scratch, *values) for value in values)
    return jax.lax.platform_dependent(scratch, *values, cpu=once, default=as_they_are)


def apart(*values: Array) -> list[Array]:
    """The values, which a GPU computes in an operation that ends with them.

    Else it computes them again in each operation that needs them, where all are fused with it. On
    a CPU this is nothing, and `computed_once` does it.
    """
    return jax.lax.platform_dependent(
        *values,
        cpu=lambda *values: list(values),
        default=lambda *values: list(jax.lax.optimization_barrier(values)),
    )


def _packed(values: tuple[Array, ...]) -> Array:
    """The values as one array [B, W] of words, or of pairs of them."""
    if len(values) == 1:
        words = _bits.of(values[0])
    else:
        words = jax.lax.complex(*(_bits.to(jnp.float32, array) for array in values))
    return words.reshape(len(words), math.prod(words.shape[1:]))


def _unpacked(rows: Array, like: tuple[Array, ...]) -> tuple[Array, ...]:
    parts = (rows,) if len(like) == 1 else (jax.lax.real(rows), jax.lax.imag(rows))
    return tuple(
        _bits.to(array.dtype, part).reshape(array.shape)
        for part, array in zip(parts, like, strict=True)
    )


def _untouched(rows: Array) -> Array:
    """`rows`, [B, W], after a scatter of two rows to none of them: XLA makes one row a slice."""
    nowhere = _column(len(rows), len(rows) + 1, dtype=jnp.int32)
    nothing = _column(1, 0, dtype=rows.dtype)
    return jax.lax.scatter(rows, nowhere, nothing, _ROW, unique_indices=True, mode=_DROP)


def _column(*numbers: int, dtype: Any) -> Array:
    """The numbers one below the other.

    NumPy's array of them jax 0.10 could not take out of a `custom_vmap` for `cond` under `vmap`.
    """
    return jnp.concatenate([jnp.full((1, 1), number, dtype) for number in numbers])


def _buffer(scratch: Array, rows: Array) -> Array:
    """An array of one row more than `rows`, of which XLA does not know what is in it.

    XLA gives to all threads what computes much or reads from a large array, however little of it,
    and to start and to join them takes longer than to gather a batch. It leaves to one thread what
    ends in an update of a slice of a larger buffer, if it cannot see through that buffer.
    """
    shape = (len(rows) + 1, rows.shape[1])
    if scratch.shape == shape and scratch.dtype == rows.dtype:
        return scratch
    number = _number(scratch)
    filled = jnp.full(shape, number, rows.dtype)
    one = jnp.ones((1, 1), rows.dtype)
    place = ((number & 1).astype(jnp.int32), np.int32(0))
    return jax.lax.dynamic_update_slice(filled, one, place)


def _number(array: Array) -> Array:
    """Some bits of an array, uint32 []."""
    first = array.ravel()[0]
    number = jax.lax.real(first) if jnp.iscomplexobj(first) else first
    return _bits.of(number).astype(jnp.uint32)
