"""The DQN example, stopped with Ctrl-C and begun again, ends as if it had never been stopped."""

import argparse
import importlib
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import pytest

from jaxper import UniformReplay

EXAMPLE = Path(__file__).parents[2] / "examples" / "dqn.py"
SMALL = ["--env=catch", "--replay=prioritized", "--seeds=1", "--steps=80000", "--capacity=2000"]

missing = [
    name for name in ("gymnax", "flax", "optax", "tqdm", "matplotlib") if not find_spec(name)
]
needs_them = pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


class Runs(NamedTuple):
    params: Any
    replay_state: Any


@pytest.fixture
def begin(tmp_path):
    """Starts the example; all its runs compile once."""
    environment = os.environ | {
        "PYTHONPATH": str(EXAMPLE.parent.parent),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        # Without it XLA adds up some sums on a CPU in the order in which its threads finish.
        "XLA_FLAGS": "--xla_cpu_experimental_ynn_fusion_type=",
    }

    def begin(*arguments):
        command = [sys.executable, str(EXAMPLE), *SMALL, *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True
        )

    return begin


def ended(process, returncode=0):
    out, err = process.communicate(timeout=200)
    assert process.returncode == returncode, out + err
    return out, err


def table(out):
    return [line for line in out.split("\n") if line.startswith(("prioritized ", "random"))][-2:]


@needs_them
@pytest.mark.slow
def test_a_stopped_run_ends_like_one_that_was_not(begin, tmp_path):
    whole, _ = ended(begin("--output", "whole.png"))
    saved = ["--checkpoint", "saved", "--output", "resumed.png"]
    process = begin(*saved)
    while not (tmp_path / "saved" / "prioritized" / "jaxper_1").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = ended(process, returncode=1)
    assert "stopped and saved in" in err
    assert not (tmp_path / "resumed.png").exists()

    resumed, err = ended(begin(*saved, "--resume"))
    assert "stopped" not in err
    assert table(resumed) == table(whole) != []
    assert (tmp_path / "resumed.png").read_bytes() == (tmp_path / "whole.png").read_bytes()


def test_what_was_saved_goes_on_as_it_was_begun(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(EXAMPLE.parent)
    saving = importlib.import_module("saving")
    replay = UniformReplay(4)
    runs = Runs(jnp.float32(3), replay.init(jnp.int32(0)))
    arguments = argparse.Namespace(checkpoint=tmp_path, resume=False, seed=3, alpha=0.6)

    def saver():
        return saving.Saver(arguments, "a run", replay, jnp.int32(0))

    handler = signal.getsignal(signal.SIGINT)
    try:
        first = saver()
        assert first.restore(runs, 0) == (runs, 0)
        first.save(3, False, runs, 3)
        assert not first.exists()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(SystemExit, match=r"stopped and saved in .*a run; --resume goes on"):
            first.save(4, False, runs, 4)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(SystemExit, match="holds a checkpoint; write --resume"):
            saver()
        arguments.resume = True
        there, progress = saver().restore(runs._replace(params=jnp.float32(0)), 0)
        assert (there.params, progress) == (3, 4)
        arguments.seed = 4
        with pytest.raises(SystemExit, match="the run was begun with --seed 3"):
            saver().restore(runs, 0)
    finally:
        signal.signal(signal.SIGINT, handler)
