"""The ring of slots, and the ids of the items in them.

An id is an item's insertion number modulo M, the largest multiple of the capacity below 2^32. It
counts on when the ring wraps, which tells an id that outlived its item from the one that took its
slot. Ids and slots are uint32, and so is their arithmetic: what wraps on the way comes back into
range, or is not selected.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering.scatter import DROPPED

# Never an id: an empty replay draws it.
NO_ID = np.uint32(2**32 - 1)


class Run(NamedTuple):
    """Neighbouring slots, which may go on at slot 0 after the last one."""

    first: Array  # uint32 [], the first slot
    length: int


class Changes(NamedTuple):
    """The slots that an add changed, in blocks of neighbours."""

    added: Array  # uint32 [], slots written
    blocks: Array  # uint32 [W], the first slot of each block, or `DROPPED` if nothing changes there
    live: Array  # bool [W, block], whether each slot can be drawn now
    runs: tuple[Run, ...]  # runs that hold all the blocks


def modulus(capacity: int) -> np.uint32:
    """Returns M, the largest multiple of `capacity` below 2^32: ids are in [0, M)."""
    # A multiple that is 2^32 itself would not fit uint32.
    below = 2**32 - 1
    return np.uint32(below // capacity * capacity)


def advance(next_id: Array, count: Array | int, capacity: int) -> Array:
    """Returns the next id after `count` <= capacity more items, uint32."""
    count = jnp.asarray(count, jnp.uint32)
    left = modulus(capacity) - next_id
    return jnp.where(count < left, next_id + count, count - left)


def grow_fill(fill: Array, count: Array | int, capacity: int) -> Array:
    """Returns how many slots hold an item after `count` more, int32; never leaves int32."""
    return fill + jnp.minimum(jnp.asarray(count, jnp.int32), capacity - fill)


def id_of_age(age: Array, next_id: Array, capacity: int) -> Array:
    """Returns the id added `age` items before the newest, uint32."""
    wrapped = next_id + (modulus(capacity) - age) - 1
    return jnp.where(age < next_id, next_id - 1 - age, wrapped)


def id_in_slot(slot: Array, next_id: Array, capacity: int) -> Array:
    """Returns the id of the item in each slot, uint32; in an empty slot the one of a lap before."""
    slot = slot.astype(jnp.uint32)
    write_position = next_id % np.uint32(capacity)
    age = write_position - 1 - slot
    age = jnp.where(slot < write_position, age, age + np.uint32(capacity))
    return id_of_age(age, next_id, capacity)


def is_stored(ids: Array, next_id: Array, fill: Array, capacity: int) -> Array:
    """Tells whether the item of each id is still in its slot, bool."""
    limit = modulus(capacity)
    age = jnp.where(ids < next_id, next_id - 1 - ids, next_id + (limit - ids) - 1)
    return (ids < limit) & (age < fill.astype(jnp.uint32))


def slot_of(ids: Array, capacity: int) -> Array:
    """Returns the slot of each id, int32 in [0, capacity), also of a stale one."""
    return (ids % np.uint32(capacity)).astype(jnp.int32)


def next_slots(next_id: Array, rows: int, mask: Array | None, capacity: int) -> Array:
    """Returns the slots that the next rows take, uint32 [rows]; `DROPPED` where `mask` is False."""
    offset = jnp.arange(rows, dtype=jnp.uint32)
    if mask is not None:
        offset = jnp.cumsum(mask, dtype=jnp.uint32) - 1
    slots = next_id % np.uint32(capacity) + offset
    slots = jnp.where(slots < capacity, slots, slots - np.uint32(capacity))
    return slots if mask is None else jnp.where(mask, slots, DROPPED)
