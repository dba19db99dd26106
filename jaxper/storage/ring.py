"""The ring of slots: which id stands where.

An id is an item's insertion number modulo M, the largest multiple of the capacity below 2^32. It
counts on when the ring wraps, which tells an id that outlived its item from the one that took its
slot. All arithmetic is uint32 and stays within [0, 2^32) on the way.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering import in_place as _xla

NO_ID = np.uint32(2**32 - 1)  # never an id: what an empty replay draws
NO_SLOT = _xla.NOWHERE  # never a slot: a write to it is dropped


class Changes(NamedTuple):
    """What an add did to the slots."""

    count: Array  # uint32 [], slots written
    slots: Array  # uint32 [W], the first of each run of slots whose leaves change; or `NO_SLOT`
    live: Array  # bool [W, slots in a run], whether they can be drawn now
    groups: Array  # uint32 [G], all groups of leaves that these are in, some more than once


def modulus(capacity: int) -> np.uint32:
    """M: ids are in [0, M), and M is a multiple of `capacity`."""
    below = 2**32 - 1  # a multiple of 2^32 itself would not fit uint32
    return np.uint32(below // capacity * capacity)


def advance(next_id: Array, count: Array | int, capacity: int) -> Array:
    """The next id after `count` <= capacity more items, uint32."""
    count = jnp.asarray(count, jnp.uint32)
    left = modulus(capacity) - next_id
    return jnp.where(count < left, next_id + count, count - left)


def stored_after(stored: Array, count: Array | int, capacity: int) -> Array:
    """How many slots hold an item after `count` more, int32, without leaving int32 on the way."""
    return stored + jnp.minimum(jnp.asarray(count, jnp.int32), capacity - stored)


def id_of_age(age: Array, next_id: Array, capacity: int) -> Array:
    """The id that `age` items came after, uint32."""
    wrapped = next_id + (modulus(capacity) - age) - 1
    return jnp.where(age < next_id, next_id - 1 - age, wrapped)


def id_in_slot(slot: Array, next_id: Array, capacity: int) -> Array:
    """The id that stands in each slot, uint32; the newest that could, where none was stored."""
    slot = slot.astype(jnp.uint32)
    write_position = next_id % np.uint32(capacity)
    age = write_position - 1 - slot
    age = jnp.where(slot < write_position, age, age + np.uint32(capacity))
    return id_of_age(age, next_id, capacity)


def is_stored(ids: Array, next_id: Array, stored: Array, capacity: int) -> Array:
    """Whether the item of each id still stands in its slot, bool."""
    limit = modulus(capacity)
    age = jnp.where(ids < next_id, next_id - 1 - ids, next_id + (limit - ids) - 1)
    return (ids < limit) & (age < stored.astype(jnp.uint32))


def slot_of(ids: Array, capacity: int) -> Array:
    """The slot of each id, int32 in [0, capacity), also where the id is stale."""
    return (ids % np.uint32(capacity)).astype(jnp.int32)


def next_slots(next_id: Array, rows: int, mask: Array | None, capacity: int) -> Array:
    """The slots that the next rows take, uint32 [rows]; `NO_SLOT` where `mask` is False."""
    offset = jnp.arange(rows, dtype=jnp.uint32)
    if mask is not None:
        offset = jnp.cumsum(mask, dtype=jnp.uint32) - 1
    slots = next_id % np.uint32(capacity) + offset
    slots = jnp.where(slots < capacity, slots, slots - np.uint32(capacity))
    return slots if mask is None else jnp.where(mask, slots, NO_SLOT)


def write(storage: Any, slots: Array, rows: Any) -> Any:
    """`storage` with `rows` at `slots`, uint32 [B], no slot twice but `NO_SLOT`."""
    return jax.tree.map(
        lambda stored, new: _xla.scattered(stored, slots, jnp.asarray(new)), storage, rows
    )


def runs(array: Array, slots: Array, width: int) -> Array:
    """What stands in runs of an array [N] that begin at `slots`, uint32 [W]: [W, width].

    Of one out of range the last.
    """
    numbers = jax.lax.GatherDimensionNumbers((1,), (), (0,))
    return jax.lax.gather(array, slots[:, None], numbers, (width,), mode="clip")


def write_runs(array: Array, slots: Array, values: Array) -> Array:
    """An array [N] with `values` [W, width] in runs that begin at `slots`; W is above 1."""
    slots = jnp.minimum(slots, NO_SLOT - np.uint32(values.shape[1]))  # so its end is none either
    numbers = jax.lax.ScatterDimensionNumbers((1,), (), (0,))
    mode = jax.lax.GatherScatterMode.FILL_OR_DROP
    return jax.lax.scatter(array, slots[:, None], values, numbers, unique_indices=True, mode=mode)


def nbytes(arrays: Any) -> int:
    """Bytes that a pytree of arrays, or of their shapes and dtypes, takes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arrays))
