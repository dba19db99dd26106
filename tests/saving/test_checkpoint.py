"""Checkpoints come back bit for bit, whole or with a clear error; kills lose nothing."""

import dataclasses
import gc
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import (
    Items,
    PrioritizedReplay,
    Sequences,
    TimeStep,
    Transitions,
    UniformReplay,
    __version__,
    checkpoint,
    resize,
    sharding,
)
from tests.helpers.stream_lives import item as step_item

ROOT = Path(__file__).parents[2]
pytestmark = [  # where a read fails, Orbax leaves coroutines behind
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning"),
]
MIXED = {  # of every kind of leaf that is stored in its own way
    "bytes": jnp.zeros((5,), jnp.uint8),
    "half/way": jnp.zeros((3,), jnp.bfloat16),
    "large": jnp.zeros((300,), jnp.float32),
    "nothing": jnp.zeros((0, 2), jnp.float32),
    "x.y": (jnp.int32(0), jnp.bool_(False)),
}


def run_python(code, *arguments, **environment):
    """A program of its own, which finds the package and the helpers of the tests."""
    paths = str(ROOT)
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


def random_bits(item, random, *leading):
    """Items with arrays [*leading, ...] of any bits, NaNs among them."""

    def one(leaf):
        dtype, shape = np.dtype(leaf.dtype), (*leading, *np.shape(leaf))
        if dtype == np.bool_:
            return random.random(shape) < 0.2
        size = int(np.prod(shape)) * dtype.itemsize
        return np.frombuffer(random.bytes(size), dtype).reshape(shape)

    return jax.tree.map(one, item)


@jax.jit
def step(replay, state, items, priorities):
    """Adds, draws and updates; every bit of what a run sees."""
    state = replay.add(state, items)
    sample = replay.sample(state, jax.random.key(0), 4)
    state = replay.update_priorities(state, sample.ids, priorities)
    return state, (sample.ids, sample.probabilities, sample.weights)


def live_on(replay, state, item, seed):
    """A few steps of a run, and all that it saw."""
    random, seen = np.random.default_rng(seed), []
    leading = (6,) if isinstance(replay.view, Items) else (3, replay.view.num_envs)
    for _ in range(7):
        priorities = random.exponential(size=4).astype(np.float32)
        state, drawn = step(replay, state, random_bits(item, random, *leading), priorities)
        seen.append(drawn)
    return state, seen


REPLAYS = {
    "items": (PrioritizedReplay(20, normalize="buffer", epsilon=0.0), MIXED),
    "uniform": (UniformReplay(20), MIXED),
    "frames": (PrioritizedReplay(48, view=Transitions(4, 2, frame_stack=3)), step_item()),
    "sequences": (UniformReplay(24, view=Sequences(2, 4, 3, "cross")), step_item((2,))),
}


@pytest.mark.parametrize("name", REPLAYS)
def test_a_run_continues_as_if_it_had_never_stopped(name, tmp_path):
    replay, item = REPLAYS[name]
    state, _ = live_on(replay, replay.init(item), item, 0)
    checkpoint.save(tmp_path, replay, state)
    restored = checkpoint.restore(tmp_path, replay, item)
    same_bits(restored, state)
    same_bits(live_on(replay, restored, item, 1), live_on(replay, state, item, 1))


def test_swept_replays_keep_their_leading_axes(tmp_path):
    replay = PrioritizedReplay(8)

    @jax.vmap
    @jax.vmap
    def init(alpha):
        state = replay.init(jnp.int32(0), alpha=alpha)
        return replay.add(state, jnp.arange(3), priorities=jnp.arange(3.0))

    states = init(jnp.arange(6.0).reshape(2, 3))
    checkpoint.save(tmp_path, replay, states)
    same_bits(checkpoint.restore(tmp_path, replay, jnp.int32(0)), states)


def test_wide_numbers_come_back_where_they_are_known(tmp_path):
    replay = PrioritizedReplay(8)
    wide = {"large": np.zeros(200), "small": np.int64(0)}
    with jax.enable_x64(True):
        rows = {"large": np.full((3, 200), 1 / 3), "small": np.array([1, 2**40, 3])}
        state = replay.add(replay.init(wide), rows)
        checkpoint.save(tmp_path, replay, state, extra=np.float64(1 / 3))
        there, extra = checkpoint.restore(tmp_path, replay, wide, extra=np.float64(0))
        same_bits(there, state)
        assert float(extra) == 1 / 3
    with pytest.raises(
        ValueError, match=r"\['large'\]: saved float64\[200\], given float32\[200\]"
    ):
        checkpoint.restore(tmp_path, replay, wide)


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
    with pytest.raises(
        ValueError, match=r"extra\['params'\]\['w'\]: saved bfloat16\[2, 3\], given"
    ):
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
    same_bits(checkpoint.restore(tmp_path, replay, jnp.float32(0)), state)


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
    replay = PrioritizedReplay(2**16)
    state = replay.init(jnp.zeros(200, jnp.uint8))
    state = replay.add(state, jnp.ones((1000, 200), jnp.uint8))
    step = jax.jit(lambda state, i: replay.add(state, jnp.full((1000, 200), i)), donate_argnums=0)
    before = jax.tree.map(lambda array: np.array(array, copy=True), state)
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


KILLED = """
import sys, jax.numpy as jnp
from tests.saving.test_checkpoint import small
from jaxper import checkpoint
for value in range(1, 1000):
    replay, state = small(value=float(value), capacity=300_000)
    print(value, flush=True)
    checkpoint.save(sys.argv[1], replay, state, extra=jnp.full(200_000, value))
    print("whole", value, flush=True)
"""


@pytest.mark.parametrize("kills", [2, pytest.param(12, marks=pytest.mark.slow)])
def test_a_kill_leaves_a_whole_checkpoint(kills, tmp_path):
    random = np.random.default_rng(kills)
    for _ in range(kills):
        process = run_python(KILLED, tmp_path)
        assert process.stdout
        lines = [process.stdout.readline().strip() for _ in range(5)]  # two saves and a begun one
        assert lines == ["1", "whole 1", "2", "whole 2", "3"]
        begun = time.monotonic()
        while time.monotonic() < begun + 1 and not any("tmp" in p.name for p in tmp_path.iterdir()):
            time.sleep(0.001)
        time.sleep(random.choice([0, 0, 0.02, 0.1]))
        process.send_signal(signal.SIGKILL)
        whole = [line for line in process.communicate()[0].split("\n") if "whole" in line]
        least = int(whole[-1].split()[1]) if whole else 2
        replay, state = small(capacity=300_000)
        state, extra = checkpoint.restore(
            tmp_path, replay, jnp.float32(0), extra=jnp.zeros(200_000, jnp.int32)
        )
        value = int(extra[0])
        assert value in (least, least + 1)
        assert np.all(extra == value)
        same_bits(state, small(value=float(value), capacity=300_000)[1])
    checkpoint.save(tmp_path, replay, state)
    assert len(list(tmp_path.iterdir())) == 1  # what the kills left half written is gone


STEP = step_item()
FRAMES = REPLAYS["frames"][0]
WRONG = {
    "capacity: saved 20, given 10\nrestore with capacity=20, then write jaxper.resize(": (
        "items",
        PrioritizedReplay(10),
        MIXED,
    ),
    "class: saved PrioritizedReplay, given UniformReplay": ("items", UniformReplay(20), MIXED),
    "item['large']: saved float32[300], given float32[301]": (
        "items",
        PrioritizedReplay(20),
        MIXED | {"large": jnp.zeros(301)},
    ),
    "item['x.y'][0]: saved int32[], given float32[]": (
        "items",
        PrioritizedReplay(20),
        MIXED | {"x.y": (jnp.float32(0), jnp.bool_(0))},
    ),
    "item['bytes']: saved uint8[5], given nothing": (
        "items",
        PrioritizedReplay(20),
        {name: leaf for name, leaf in MIXED.items() if name != "bytes"},
    ),
    "view.class: saved Transitions, given Items": ("frames", PrioritizedReplay(48), STEP),
    "view.n_step: saved 2, given 3": (
        "frames",
        PrioritizedReplay(48, view=Transitions(4, 3, frame_stack=3)),
        STEP,
    ),
    "view.discount: saved 0.99, given 0.9": (
        "frames",
        PrioritizedReplay(48, view=Transitions(4, 2, 0.9, frame_stack=3)),
        STEP,
    ),
    "item.reward: saved float32[], given float32[2]": ("frames", FRAMES, step_item((2,))),
}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Directories of checkpoints by the name of the replay."""
    directories = {name: tmp_path_factory.mktemp(name) for name in ("items", "frames")}
    for name, directory in directories.items():
        replay, item = REPLAYS[name]
        checkpoint.save(directory, replay, replay.init(item))
    return directories


@pytest.mark.parametrize("message", WRONG)
def test_another_configuration_is_refused_before_an_array_is_read(message, saved, monkeypatch):
    def read(*arguments):
        raise AssertionError("arrays were read")

    monkeypatch.setattr(checkpoint.store, "read_arrays", read)
    name, replay, item = WRONG[message]
    with pytest.raises(ValueError, match="holds something else") as error:
        checkpoint.restore(saved[name], replay, item)
    assert message in str(error.value)
    assert str(saved[name]) in str(error.value)


def test_of_shards_the_refusal_names_a_mesh(tmp_path):
    replay, state = small()
    shards = jax.tree.map(lambda array: jnp.stack([array, array]), state)
    checkpoint.save(tmp_path, replay, shards)
    with pytest.raises(ValueError, match=r"these are shards, \[2\], restore onto a mesh=\.\.\."):
        checkpoint.restore(tmp_path, PrioritizedReplay(16), jnp.float32(0))


def test_of_shards_a_single_replay_again(tmp_path):
    """As docs/saving.md says: onto a mesh of one device, of which the only row is taken."""
    replay, item = PrioritizedReplay(8), jnp.zeros(3)
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    checkpoint.save(tmp_path, replay, sharding.init(replay, item, mesh))
    state = checkpoint.restore(tmp_path, replay, item, mesh=mesh)
    state = replay.add(jax.tree.map(lambda array: array[0], state), jnp.ones((4, 3)))
    sample = replay.sample(state, jax.random.key(0), 4)
    state = replay.update_priorities(state, sample.ids, jnp.ones(4))
    assert int(replay.size(state)) == 4


def test_what_may_differ_is_the_replays_but_alpha(tmp_path):
    replay = PrioritizedReplay(8, alpha=0.5)
    state = replay.add(replay.init(jnp.int32(0)), jnp.arange(5), priorities=jnp.arange(5.0))
    checkpoint.save(tmp_path, replay, state)
    other = PrioritizedReplay(8, alpha=0.9, epsilon=0.1, strategy="iid", normalize="buffer")
    restored = checkpoint.restore(tmp_path, other, jnp.int32(0))
    assert restored.alpha == 0.5
    assert jax.tree.map(jnp.shape, restored) == jax.tree.map(
        jnp.shape, jax.eval_shape(other.init, jnp.int32(0))
    )
    same_bits(restored.tree.leaves, state.tree.leaves)
    assert other.sample(restored, jax.random.key(0), 4).weights.max() <= 1


def test_a_state_of_another_replay_is_not_saved(tmp_path):
    replay, state = small()
    with pytest.raises(ValueError, match=r"state\.tree\.leaves: given float32\[1, 16\], expected"):
        checkpoint.save(tmp_path, PrioritizedReplay(100), state)
    with pytest.raises(ValueError, match="state must be the replay's"):
        checkpoint.save(tmp_path, replay, cast(Any, replay))
    assert not list(tmp_path.iterdir())


def test_what_is_no_checkpoint_is_named(tmp_path):
    replay, state = small()
    file = tmp_path / "file"
    file.write_text("not a directory")
    for directory, message in [
        (tmp_path / "nowhere", "there is no such directory"),
        (file, "it is a file"),
        (tmp_path, "it has no whole jaxper_... in it"),
    ]:
        with pytest.raises(ValueError, match=f"{directory} is not a checkpoint: {message}"):
            checkpoint.restore(directory, replay, jnp.float32(0))
    with pytest.raises(ValueError, match=r"cannot save to .*: it is a file"):
        checkpoint.save(file, replay, state)
    assert file.read_text() == "not a directory"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_format_from_the_future_is_refused(saved, tmp_path, monkeypatch):
    replay, state = small()
    assert __version__ == checkpoint.manifest.VERSION
    monkeypatch.setattr(checkpoint.manifest, "FORMAT", checkpoint.manifest.FORMAT + 1)
    checkpoint.save(tmp_path, replay, state)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"has format 3, this jaxper .* reads format 2"):
        checkpoint.restore(tmp_path, replay, jnp.float32(0))


def test_arrays_of_other_names_are_refused(tmp_path, monkeypatch):
    """As of a layout that this version does not know, whatever the format says."""
    replay, state = small()
    monkeypatch.setattr(checkpoint.manifest, "_array_specs", lambda state: {".old": ["int32", []]})
    checkpoint.save(tmp_path, replay, state)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"state\.old: saved \['int32', \[\]\], given nothing"):
        checkpoint.restore(tmp_path, replay, jnp.float32(0))


def test_a_truncated_file_is_a_clear_error_and_never_another_state(tmp_path):
    replay, item = REPLAYS["items"]
    state, _ = live_on(replay, replay.init(item), item, 0)
    checkpoint.save(tmp_path, replay, state)
    failures = 0
    for path in [path for path in tmp_path.rglob("*") if path.is_file()]:
        content = path.read_bytes()
        for kept in (0, len(content) // 2, len(content) - 1):
            path.write_bytes(content[:kept])
            before = files(tmp_path)
            try:
                same_bits(checkpoint.restore(tmp_path, replay, item), state)
            except ValueError as error:
                failures += 1
                assert "cannot be read" in str(error) or "is not a checkpoint" in str(error)  # noqa: PT017
                assert str(tmp_path) in str(error)  # noqa: PT017
            assert files(tmp_path) == before
        path.write_bytes(content)
    assert failures > 5
    same_bits(checkpoint.restore(tmp_path, replay, item), state)
    gc.collect()  # what Orbax left behind warns here, where it is ignored


def table_of(directory, returncode=0):
    command = f"import runpy, sys; sys.argv[1] = {str(directory)!r}; "
    command += "runpy.run_module('jaxper.checkpoint', run_name='__main__')"
    return output_of(run_python(command, directory), returncode)


def test_the_table_of_a_checkpoint(tmp_path):
    replay = PrioritizedReplay(48, alpha=0.5, epsilon=0.0, view=Transitions(2, 1))
    state = replay.init(step_item())
    steps = random_bits(step_item(), np.random.default_rng(0), 6, 2)
    state = replay.add(state, steps._replace(truncated=np.zeros((6, 2), bool)))
    ids, priorities = np.arange(10, dtype=np.uint32), np.arange(1, 11, dtype=np.float32) ** 2
    state = replay.update_priorities(state, ids, priorities)
    checkpoint.save(tmp_path, replay, state, extra={"params": jnp.zeros((3, 4))})
    table = table_of(tmp_path)
    words = [line.split() for line in table.split("\n")]
    for line in [
        ["class", "PrioritizedReplay"],
        ["capacity", "48"],
        ["view.n_step", "1"],
        ["item.observation['x']", "int32[2]"],
        ["stored", "12"],
        ["live", "10"],
        ["fill", "25.0%"],
        ["max_priority", "100"],
        ["0%", "1", "1"],
        ["50%", "5.5", "30.5"],
        ["100%", "10", "100"],
        ["extra['params']", "float32[3,", "4]"],
    ]:
        assert line in words, table
    size = sum(path.stat().st_size for path in tmp_path.rglob("jaxper_*/**/*") if path.is_file())
    assert ["on", "disk", f"{size / 1000:.1f}", "kB"] in words


def test_the_table_reads_no_items(tmp_path, monkeypatch):
    replay, state = small()
    states = jax.tree.map(lambda array: jnp.stack([array, array]), state)
    states = states._replace(stale=jnp.array([1_234_567, 2**32 - 1], jnp.uint32))
    checkpoint.save(tmp_path, replay, states)
    read, names = checkpoint.store.read_arrays, []
    monkeypatch.setattr(
        checkpoint.store, "read_arrays", lambda *args: names.extend(args[2]) or read(*args)
    )
    table = checkpoint.summary.make_table(
        checkpoint.store.find_latest(checkpoint.store.resolve(tmp_path))
    )
    assert ".tree.leaves" in names
    assert not any("storage" in name for name in names)
    words = [line.split() for line in table.split("\n")]
    assert ["replays", "2"] in words
    assert ["live", "6"] in words
    assert ["stale", "1234567", "to", "4294967295"] in words


@pytest.mark.parametrize("dtype", ["bfloat16", "float8_e4m3fn"])
def test_short_floats_of_a_stream_come_back(tmp_path, dtype):
    flags = jnp.zeros((5, 1), bool)
    observation = jnp.arange(10, dtype=dtype).reshape(5, 1, 2)
    steps = TimeStep(observation, flags, jnp.zeros((5, 1)), flags, flags)
    step = jax.tree.map(lambda array: array[0, 0], steps)
    replay = PrioritizedReplay(6, view=Transitions(1))
    state = replay.add(replay.init(step), steps)
    checkpoint.save(tmp_path, replay, state)
    chex.assert_trees_all_equal(checkpoint.restore(tmp_path, replay, step), state)
    with pytest.raises(ValueError, match=rf"item.observation: saved {dtype}\[2\]"):
        checkpoint.restore(tmp_path, replay, step._replace(observation=jnp.zeros(2)))
    grown = resize(replay, state, 8)
    replay = dataclasses.replace(replay, capacity=8)
    drawn = replay.get(grown, jnp.arange(2, 4)).observation
    chex.assert_trees_all_equal(drawn, observation[2:4, 0])


def test_the_table_of_what_is_no_checkpoint_is_one_line(tmp_path):
    out = table_of(tmp_path, returncode=2)
    assert out.count("\n") == 1
    assert "is not a checkpoint" in out


LEFT = """
import sys
from tests.saving.test_checkpoint import small
from jaxper import checkpoint
checkpoint.save(sys.argv[1], *small(value=1.0, capacity=300_000))
checkpoint.save_async(sys.argv[1], *small(value=2.0, capacity=300_000))
"""


def test_a_program_that_ends_without_waiting_leaves_a_whole_checkpoint(tmp_path):
    output_of(run_python(LEFT, tmp_path))
    replay, _ = small(capacity=300_000)
    state = checkpoint.restore(tmp_path, replay, jnp.float32(0))
    value = float(replay.get(state, jnp.arange(1))[0])
    assert value == 2 or sys.version_info >= (3, 12)
    same_bits(state, small(value=value, capacity=300_000)[1])


WITHOUT = """
import sys
import jaxper
assert not any(name.split(".")[0] == "orbax" for name in sys.modules)
sys.modules["orbax"] = sys.modules["orbax.checkpoint"] = None
try:
    import jaxper.checkpoint
except ImportError as error:
    print(error)
"""


def test_without_orbax(tmp_path):
    assert "pip install 'jaxper[checkpoint]'" in output_of(run_python(WITHOUT))


@pytest.mark.slow
def test_several_processes_save_and_restore_together(tmp_path):
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    file = ROOT / "tests" / "sharding" / "on_devices" / "in_processes.py"
    code = f"import runpy; runpy.run_path({str(file)!r}, run_name='__main__')"
    processes = [run_python(code, i, port, tmp_path / "saved") for i in range(2)]
    for process in processes:
        assert "all well" in output_of(process)
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["jaxper_2"]


def test_extra_without_elements(tmp_path):
    replay, state = small()
    for extra in (
        (),
        {"a": ()},
        {"a": jnp.zeros((0, 3))},
        {"a": jnp.zeros((0, 3)), "b": jnp.ones(2)},
    ):
        checkpoint.save(tmp_path, replay, state, extra=extra)
        found = checkpoint.restore(tmp_path, replay, jnp.float32(0), extra=extra)[1]
        assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(found))
        same_bits(found, extra)


@pytest.mark.parametrize("leaf", [np.int64(2**40), 2**40, "a name"], ids=repr)
def test_extra_that_cannot_be_kept_is_refused(tmp_path, leaf):
    replay, state = small()
    with pytest.raises(ValueError, match=r"extra\['n'\] must be an array"):
        checkpoint.save(tmp_path, replay, state, extra={"n": leaf})
    checkpoint.save(tmp_path, replay, state, extra={"n": 3, "rate": 0.1})


def test_threads_save_one_after_the_other(tmp_path):
    replay, state = small()
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: checkpoint.save(tmp_path, replay, state), range(3)))
    assert [path.name for path in tmp_path.iterdir()] == ["jaxper_3"]


def test_a_save_within_a_compiled_function_is_refused(tmp_path):
    replay = UniformReplay(4)
    state = replay.init(jnp.int32(0))
    with pytest.raises(ValueError, match="got traced ones; save outside"):
        jax.jit(lambda state: checkpoint.save(tmp_path, replay, state))(state)
    with pytest.raises(ValueError, match="got traced ones; save outside"):
        jax.jit(lambda key: checkpoint.save(tmp_path, replay, state, extra=key))(1)
    assert not list(tmp_path.iterdir())
