"""Checkpoints come back bit for bit, whole or with a clear error; kills lose nothing."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import training
from stream_lives import item as step_item

from jaxper import (
    Items,
    PrioritizedReplay,
    Sequences,
    TimeStep,
    Transitions,
    UniformReplay,
    checkpoint,
)

TESTS = Path(__file__).parent
MIXED = {  # of every kind of leaf that is stored in its own way
    "bytes": jnp.zeros((5,), jnp.uint8),
    "half/way": jnp.zeros((3,), jnp.bfloat16),
    "large": jnp.zeros((300,), jnp.float32),
    "nothing": jnp.zeros((0, 2), jnp.float32),
    "x.y": (jnp.int32(0), jnp.bool_(False)),
}


def run_python(code, *arguments, **environment):
    """A program of its own, which finds the package and the helpers of the tests."""
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": paths, "JAX_PLATFORMS": "cpu"} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output_of(process, returncode=0):
    out, err = process.communicate(timeout=200)
    assert process.returncode == returncode, out + err
    return out + err


def same_bits(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert np.asarray(a).tobytes() == np.asarray(b).tobytes()


def random_bits(item, key, *leading):
    """Items with leaves [*leading, ...] of any bits, NaNs among them."""
    leaves, structure = jax.tree.flatten(item)
    keys = jax.random.split(key, len(leaves))

    def one(key, leaf):
        shape = (*leading, *jnp.shape(leaf))
        if leaf.dtype == jnp.bool_:
            return jax.random.bernoulli(key, 0.2, shape)
        unsigned = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}[leaf.dtype.itemsize]
        return jax.lax.bitcast_convert_type(jax.random.bits(key, shape, unsigned), leaf.dtype)

    return jax.tree.unflatten(structure, map(one, keys, leaves))


def live_on(replay, state, item, key):
    """A few steps of a run: adds, draws, updates."""
    stream = not isinstance(replay.view, Items)
    leading = (3, replay.view.num_envs) if stream else (6,)

    def one(state, key):
        keys = jax.random.split(key, 3)
        state = replay.add(state, random_bits(item, keys[0], *leading))
        sample = replay.sample(state, keys[1], 4)
        priorities = jax.random.exponential(keys[2], (4,))
        state = replay.update_priorities(state, sample.ids, priorities)
        return state, (sample.ids, sample.probabilities, sample.weights)

    return jax.lax.scan(one, state, jax.random.split(key, 7))


def run_of(replay, item):
    return jax.jit(lambda state, key: live_on(replay, state, item, key))


REPLAYS = {
    "items": (PrioritizedReplay(20, normalize="buffer", epsilon=0.0), MIXED),
    "uniform": (UniformReplay(20), MIXED),
    "frames": (PrioritizedReplay(48, view=Transitions(4, 2, frame_stack=3)), step_item()),
    "sequences": (UniformReplay(24, view=Sequences(2, 4, 3, "cross")), step_item((2,))),
}


@pytest.mark.parametrize("name", REPLAYS)
def test_a_run_continues_as_if_it_had_never_stopped(name, tmp_path):
    replay, item = REPLAYS[name]
    run = run_of(replay, item)
    state, _ = run(replay.init(item), jax.random.key(0))
    checkpoint.save(tmp_path, replay, state)
    restored = checkpoint.restore(tmp_path, replay, item)
    same_bits(restored, state)
    same_bits(run(restored, jax.random.key(1)), run(state, jax.random.key(1)))


def test_swept_replays_keep_their_leading_axes(tmp_path):
    replay = PrioritizedReplay(8)

    def one(alpha):
        state = replay.init(jnp.int32(0), alpha=alpha)
        return replay.add(state, jnp.arange(3), priorities=jnp.arange(3.0))

    states = jax.vmap(jax.vmap(one))(jnp.arange(6.0).reshape(2, 3))
    checkpoint.save(tmp_path, replay, states)
    same_bits(checkpoint.restore(tmp_path, replay, jnp.int32(0)), states)


def small(count=3, value=1.0, capacity=8):
    """A replay with `count` items."""
    replay = PrioritizedReplay(capacity)
    state = replay.add(replay.init(jnp.float32(0)), jnp.full(count, value))
    return replay, state


def test_extra_is_saved_in_the_same_piece(tmp_path):
    replay, state = small()
    extra = {
        "params": {"w": jnp.arange(6, dtype=jnp.bfloat16).reshape(2, 3)},
        "keys": jax.random.split(jax.random.key(1), 3),
        "other key": jax.random.key(2, impl="rbg"),
        "updates": 7,
        "curve": np.full((2, 2), np.nan, np.float32),
    }
    checkpoint.save(tmp_path, replay, state, extra=extra)
    like = jax.eval_shape(lambda extra: extra, extra)
    for spec in [extra, like]:
        there, found = checkpoint.restore(tmp_path, replay, jnp.float32(0), extra=spec)
        same_bits(there, state)
        assert jax.tree.structure(found) == jax.tree.structure(extra)
        data = jax.random.key_data
        assert jax.random.key_impl(found["other key"]) == jax.random.key_impl(extra["other key"])
        same_bits(data(found.pop("other key")), data(extra["other key"]))
        same_bits(data(found.pop("keys")), data(extra["keys"]))
        assert found["updates"] == 7
        same_bits(found["params"], extra["params"])
        same_bits(found["curve"], jnp.asarray(extra["curve"]))
    same_bits(checkpoint.restore(tmp_path, replay, jnp.float32(0)), state)
    like["params"]["w"] = jax.ShapeDtypeStruct((2, 4), jnp.bfloat16)
    with pytest.raises(ValueError, match=r"extra\['params'\]\['w'\]: saved bfloat16\[2, 3\], given"):
        checkpoint.restore(tmp_path, replay, jnp.float32(0), extra=like)
    checkpoint.save(tmp_path, replay, state)
    with pytest.raises(ValueError, match="saved without extra"):
        checkpoint.restore(tmp_path, replay, jnp.float32(0), extra=extra)


def test_only_the_newest_is_kept_and_others_files_are_let_alone(tmp_path):
    (tmp_path / "12").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    for value in (1.0, 2.0, 3.0):
        replay, state = small(value=value)
        checkpoint.save(tmp_path, replay, state)
    assert {path.name for path in tmp_path.iterdir()} == {"12", "notes.txt", "jaxper_3"}
    assert checkpoint.restore(tmp_path, replay, jnp.float32(0)).storage.words[0] == jnp.float32(
        3
    ).view(jnp.uint32)


def files(directory):
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in directory.rglob("*")}


def test_restore_only_reads(tmp_path):
    replay, state = small()
    checkpoint.save(tmp_path, replay, state)
    before = files(tmp_path)
    checkpoint.restore(tmp_path, replay, jnp.float32(0))
    assert files(tmp_path) == before


def test_paths_may_be_relative_or_begin_at_home(tmp_path, monkeypatch):
    replay, state = small()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    checkpoint.save("a/b", replay, state)
    same_bits(checkpoint.restore("~/a/b", replay, jnp.float32(0)), state)
    same_bits(checkpoint.restore(tmp_path / "a" / "b", replay, jnp.float32(0)), state)


def test_a_state_may_be_donated_while_it_is_saved(tmp_path):
    replay = PrioritizedReplay(2**18)
    state = replay.init(jnp.zeros(200, jnp.uint8))
    state = replay.add(state, jnp.ones((1000, 200), jnp.uint8))
    step = jax.jit(lambda state, i: replay.add(state, jnp.full((1000, 200), i)), donate_argnums=0)
    before = jax.tree.map(lambda leaf: np.array(leaf, copy=True), state)
    saving = checkpoint.save_async(tmp_path, replay, state)
    for i in range(5):
        state = step(state, jnp.uint8(i))
    jax.block_until_ready(state)
    saving.wait()
    saving.wait()
    same_bits(checkpoint.restore(tmp_path, replay, jnp.zeros(200, jnp.uint8)), before)


def test_saves_to_one_directory_follow_each_other(tmp_path):
    savings = []
    for value in (1.0, 2.0, 3.0):
        replay, state = small(value=value, capacity=100_000)
        savings.append(checkpoint.save_async(tmp_path, replay, state))
    same_bits(checkpoint.restore(tmp_path, replay, jnp.float32(0)), state)
    for saving in savings:
        saving.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["jaxper_3"]
