"""Ids and slots, up to where uint32 ends."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxper.lowering.scatter import DROPPED
from jaxper.storage import ring

LARGEST = 2**31 - 1


@pytest.mark.parametrize("capacity", [1, 2, 3, 7, 1000, 2**20, LARGEST])
@pytest.mark.parametrize("before_wrap", [None, 0, 1, 2, 5])
def test_ids_of_a_ring(capacity, before_wrap):
    """The newest ids, their slots and their staleness against Python's integers."""
    modulus = (2**32 - 1) // capacity * capacity
    assert int(ring.modulus(capacity)) == modulus
    next_id = capacity + 1 if before_wrap is None else modulus - 1 - before_wrap
    ages = np.unique(np.minimum([0, 1, 2, 3, 6, capacity - 1], capacity - 1)).astype(np.uint32)
    expected = [(next_id - 1 - int(age)) % modulus for age in ages]
    ids = ring.id_of_age(jnp.asarray(ages), jnp.uint32(next_id), capacity)
    np.testing.assert_array_equal(ids, expected)
    slots = ring.slot_of(ids, capacity)
    np.testing.assert_array_equal(slots, [i % capacity for i in expected])
    np.testing.assert_array_equal(ring.id_in_slot(slots, jnp.uint32(next_id), capacity), expected)
    stored = ring.is_stored(ids, jnp.uint32(next_id), jnp.int32(min(capacity, 3)), capacity)
    np.testing.assert_array_equal(stored, ages < min(capacity, 3))


@pytest.mark.parametrize("capacity", [1, 3, 1000, LARGEST])
def test_advance_wraps_at_the_modulus_and_not_at_uint32(capacity):
    modulus = int(ring.modulus(capacity))
    for count in {0, 1, capacity // 2, capacity}:
        for next_id in {0, modulus - 1, modulus - count, max(0, modulus - count - 1)}:
            if next_id < modulus:
                after = ring.advance(jnp.uint32(next_id), count, capacity)
                assert int(after) == (next_id + count) % modulus


def test_ids_that_never_were_are_not_stored():
    never = jnp.array([2**32 - 1, ring.modulus(7), 7, 5], jnp.uint32)
    assert not ring.is_stored(never, jnp.uint32(5), jnp.int32(5), 7).any()


def test_stored_stops_at_the_capacity():
    stored = ring.grow_fill(jnp.int32(LARGEST - 1), jnp.uint32(LARGEST), LARGEST)
    assert int(stored) == LARGEST


def test_slots_of_a_masked_add_are_compact():
    mask = jnp.array([True, False, True, True])
    slots = ring.next_slots(jnp.uint32(6), 4, mask, 7)
    np.testing.assert_array_equal(slots, [6, DROPPED, 0, 1])
