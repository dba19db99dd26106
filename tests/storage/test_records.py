"""How items are stored: small leaves packed into words, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import Items, PrioritizedReplay, Sequences, TimeStep, Transitions, UniformReplay
from jaxper.lowering import limits

SHORT_FLOATS = ["bfloat16", "float8_e4m3fn", "float8_e5m2"]
DTYPES = ["bool", "uint8", "int8", "uint16", "float16", "int32", "uint32", "float32", *SHORT_FLOATS]
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
    items |= {f"large {name}": random_leaf(generator, 7, (1, 1025), name) for name in SHORT_FLOATS}
    replay = UniformReplay(8)
    state = replay.add(replay.init(jax.tree.map(lambda array: array[0], items)), items)
    ids = np.resize(np.arange(7), count)
    found = replay.get(state, ids)
    for name, leaf in items.items():
        leaf = leaf[ids]
        assert (found[name].shape, found[name].dtype) == (leaf.shape, leaf.dtype), name
        assert bits(found[name]) == bits(leaf), name


@pytest.mark.parametrize("view", [Transitions(2, frame_stack=2, padding="zeros"), Sequences(2, 2)])
def test_streams_come_back_bit_for_bit(view):
    generator = np.random.default_rng(0)
    leaves = {name: random_leaf(generator, 12, (3,), name).reshape(6, 2, 3) for name in DTYPES}
    for name in ("uint8", "uint16", *SHORT_FLOATS):
        large = random_leaf(generator, 12, (1025,), name)
        leaves[f"large {name}"] = large.reshape(6, 2, 1025)
    flag = np.zeros((6, 2), bool)
    steps = TimeStep(leaves, np.zeros((6, 2), np.int32), flag.astype(np.float32), flag, flag)
    replay = PrioritizedReplay(16, view=view)
    state = replay.init(jax.tree.map(lambda array: array[0, 0], steps))
    found = replay.get(replay.add(state, steps), np.arange(2, 8, dtype=np.int32))
    drawn = found.observation if isinstance(view, Transitions) else found.steps.observation
    for name, leaf in leaves.items():
        flat = leaf.reshape(12, -1)
        # The environments take turns: its neighbour in time is two slots on, or two back.
        first = flat[:6] if isinstance(view, Transitions) else flat[2:8]
        expected = np.stack([first, flat[2:8] if isinstance(view, Transitions) else flat[4:10]], 1)
        assert (drawn[name].shape, drawn[name].dtype) == (expected.shape, leaf.dtype), name
        assert bits(drawn[name]) == bits(expected), name


@pytest.mark.parametrize("view", [Transitions(2), Transitions(2, frame_stack=2), Sequences(2, 2)])
@pytest.mark.parametrize(("observation", "action", "reward"), [(3, 0, 1), (0, 0, 300), (300,) * 3])
def test_leaves_of_a_stream_may_be_empty_or_all_large(view, observation, action, reward):
    """With no words at all to be read, or none of some of its leaves."""
    numbers = np.arange(6 * 2 * 300, dtype=np.float32).reshape(6, 2, 300)
    seen, done, gained = (numbers[..., :size] for size in (observation, action, reward))
    steps = TimeStep(seen, done, gained, np.zeros((6, 2), bool), np.zeros((6, 2), bool))
    replay = PrioritizedReplay(16, view=view)
    state = replay.init(jax.tree.map(lambda array: array[0, 0], steps))
    found = replay.get(replay.add(state, steps), np.arange(2, 8, dtype=np.int32))
    drawn = found.action if isinstance(view, Transitions) else found.steps.action[:, 0]
    np.testing.assert_array_equal(drawn, numbers.reshape(12, 300)[2:8, :action])


@pytest.mark.parametrize("dtype", SHORT_FLOATS)
def test_short_floats_are_not_widened(dtype):
    """A CPU has no operations for some of them, so XLA would widen the whole array at each add."""
    flag, number = (jax.ShapeDtypeStruct((), kind) for kind in (jnp.bool_, jnp.float32))
    large = jax.ShapeDtypeStruct((1024,), dtype)
    step = TimeStep(large, number, number, flag, flag)
    stream = Transitions(num_envs=4)
    for view, item, leading in ((Items(), large, (4,)), (stream, step, (1, 4))):
        replay = UniformReplay(1024, view=view)
        rows = jax.eval_shape(
            lambda item, leading=leading: jax.tree.map(
                lambda array: jnp.zeros((*leading, *array.shape), array.dtype), item
            ),
            item,
        )
        state, add = jax.eval_shape(replay.init, item), jax.jit(replay.add, donate_argnums=0)
        memory = add.lower(state, rows).compile().memory_analysis()
        assert memory is not None
        assert memory.temp_size_in_bytes < 100_000


def test_64_bit_leaves_come_back_bit_for_bit():
    with jax.enable_x64(True):
        items = {"f": np.random.default_rng(0).normal(size=(5, 3)), "i": np.arange(5) << 40}
        replay = UniformReplay(5)
        state = replay.add(replay.init(jax.tree.map(lambda array: array[0], items)), items)
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
    below, above = (
        np.zeros(limits.ANY_PACKED_ARRAY_BYTES - 1, np.uint8),
        np.zeros(limits.ANY_PACKED_ARRAY_BYTES, np.uint8),
    )
    assert len(UniformReplay(2).init({"a": below, "b": below}).storage.large) == 0
    assert len(UniformReplay(2).init({"a": below, "b": above}).storage.large) == 1
