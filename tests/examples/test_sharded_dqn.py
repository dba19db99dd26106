"""The data-parallel example on one process and on two, of which one is killed."""

import os
import re
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "sharded_dqn.py"
SMALL = ["--devices=4", "--steps=1600", "--capacity=1024", "--batch-size=16"]
BOUND = 60  # seconds until the others notice that a process died; here they take about 10

pytestmark = [
    pytest.mark.skipif(find_spec("gymnax") is None, reason="gymnax is not installed"),
    pytest.mark.skipif(sys.platform != "linux", reason="it looks for processes in /proc"),
]


def start(*arguments):
    # Without it XLA adds up some sums on a CPU in the order in which its threads finish.
    flags = {"XLA_FLAGS": "--xla_cpu_experimental_ynn_fusion_type="}
    return subprocess.Popen(
        [sys.executable, str(EXAMPLE), *SMALL, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, **flags},
        start_new_session=True,
    )


def history(run):
    output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output
    return re.findall(r"^ *\d\.\d{6} +\S+$", output, re.MULTILINE)


def children(run):
    """The processes that a run started, by their number in it."""
    found = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "status").read_text()
            command = (process / "cmdline").read_text().split("\0")
        except OSError:
            continue
        if f"PPid:\t{run.pid}\n" in status and "--process" in command:
            found[int(command[command.index("--process") + 1])] = int(process.name)
    return found


def saved(directory):
    """Whether there is a whole checkpoint."""
    return any(re.fullmatch(r"jaxper_\d+", path.name) for path in directory.glob("*/*"))


def wait_for(condition, seconds=200):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_a_process_dies_and_the_run_goes_on(tmp_path):
    """The other stops within a bounded time; one process goes on with the run of two, bit by bit.

    So the losses do not depend on how devices are spread over processes either.
    """
    saves = [f"--checkpoint={tmp_path}"]
    run = start("--processes=2", *saves)
    wait_for(lambda: saved(tmp_path) or run.poll() is not None)
    assert run.poll() is None, run.communicate()[0]
    os.kill(children(run)[1], signal.SIGKILL)
    died = time.monotonic()
    output, _ = run.communicate(timeout=2 * BOUND)
    assert time.monotonic() - died < BOUND
    assert run.returncode == 1
    assert "process 1 stopped with status -9" in output
    assert not children(run)
    resumed, whole = start("--resume", *saves), start()
    expected = history(whole)
    assert len(expected) == 50
    assert history(resumed) == expected


@pytest.mark.slow
def test_interrupt_stops_all_processes_after_the_same_part(tmp_path):
    saves = [f"--checkpoint={tmp_path}"]
    run = start("--processes=2", *saves)
    wait_for(lambda: saved(tmp_path) or run.poll() is not None)
    os.killpg(run.pid, signal.SIGINT)
    output, _ = run.communicate(timeout=BOUND)
    assert run.returncode == 1
    assert "--resume goes on" in output
    assert history(start("--resume", "--processes=2", *saves)) == history(start())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--processes=3"], "4 devices cannot be 3 equal parts"),
        (["--replay=both"], "--replay uniform"),
        (["--resume"], "--resume needs --checkpoint"),
    ],
)
def test_what_cannot_be_run_is_refused(arguments, message):
    run = start(*arguments)
    output, _ = run.communicate(timeout=60)
    assert run.returncode == 2
    assert message in output
