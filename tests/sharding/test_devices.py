"""Tests that need several devices, in a process of its own which simulates eight on one machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "on_devices"


SLOW = {"test_sharding.py"}
FILES = [
    pytest.param(path.name, marks=[pytest.mark.slow] if path.name in SLOW else [])
    for path in sorted(FOLDER.glob("test_*.py"))
]


@pytest.mark.parametrize("file", FILES)
def test_on_eight_devices(file):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
    environment["JAX_PLATFORMS"] = "cpu"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", str(FOLDER / file)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " passed" in run.stdout
