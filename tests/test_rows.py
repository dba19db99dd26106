"""How items are stored: small leaves packed into words, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import PrioritizedReplay, UniformReplay, rows

DTYPES = ["bool", "uint8", "int8", "uint16", "float16", "bfloat16", "int32", "uint32", "float32"]
SHAPES = [(), (3,), (0,), (2, 5), (1, 1, 1)]


def random_leaf(generator, count, shape, dtype):
    """Any bits at all, as a NaN's payload must come back too."""
    dtype = jnp.dtype(dtype)
    size = count * int(np.prod(shape, dtype=int))
    if dtype == np.bool_:
        return generator.integers(0, 2, size).astype(bool).reshape(count, *shape)
    return np.frombuffer(generator.bytes(size * dtype.itemsize), dtype).reshape(count, *shape)


def bits(leaf):
    return np.ascontiguousarray(leaf).tobytes()


@pytest.mark.parametrize("count", [7, 600])  # a small batch, and one that is read leaf by leaf
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_items_come_back_bit_for_bit(shape, count):
    generator = np.random.default_rng(0)
    items = {name: random_leaf(generator, 7, shape, name) for name in DTYPES}
    items["complex"] = (np.arange(7) * 1j).astype(np.complex64)
    items["large"] = generator.integers(0, 256, (7, 33, 33), np.uint8)
    replay = UniformReplay(8)
    state = replay.add(replay.init(jax.tree.map(lambda leaf: leaf[0], items)), items)
    ids = np.resize(np.arange(7), count)
    found = replay.get(state, ids)
    for name, leaf in items.items():
        leaf = leaf[ids]
        assert (found[name].shape, found[name].dtype) == (leaf.shape, leaf.dtype), name
        assert bits(found[name]) == bits(leaf), name


def test_64_bit_leaves_come_back_bit_for_bit():
    with jax.enable_x64(True):
        items = {"f": np.random.default_rng(0).normal(size=(5, 3)), "i": np.arange(5) << 40}
        replay = UniformReplay(5)
        state = replay.add(replay.init(jax.tree.map(lambda leaf: leaf[0], items)), items)
        found = replay.get(state, np.arange(5, dtype=np.int32))
        for name, leaf in items.items():
            assert bits(found[name]) == bits(leaf)


def test_small_leaves_share_a_row_and_large_ones_do_not():
    item = {
        "image": jnp.zeros((84, 84), jnp.uint8),
        "cells": jnp.zeros((10, 10, 4), bool),
        "reward": jnp.float32(0),
        "done": jnp.bool_(False),
    }
    storage = PrioritizedReplay(16).init(item).storage
    assert storage.words.shape == (16, 100 + 1 + 1)
    assert [leaf.shape for leaf in storage.large] == [(16, 84, 84)]
    assert storage.large[0].dtype == jnp.uint8


def test_the_limit_is_counted_in_bytes_of_one_leaf():
    below, above = np.zeros(rows.LARGE - 1, np.uint8), np.zeros(rows.LARGE, np.uint8)
    assert len(UniformReplay(2).init({"a": below, "b": below}).storage.large) == 0
    assert len(UniformReplay(2).init({"a": below, "b": above}).storage.large) == 1
