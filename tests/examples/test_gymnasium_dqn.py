"""The example with Gymnasium's environments learns, with nothing beside it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("flax")
pytest.importorskip("gymnasium")

SOURCE = (Path(__file__).parents[2] / "examples" / "gymnasium_dqn.py").read_text()


def test_it_imports_no_sibling():
    imported = set(re.findall(r"^(?:import|from) (\w+)", SOURCE, re.MULTILINE))
    others = {"flax", "gymnasium", "jax", "matplotlib", "numpy", "optax", "typing"}
    assert imported == others | {"jaxper"}
    assert SOURCE.count("\n") <= 210


@pytest.mark.slow
def test_a_cut_of_it_learns(tmp_path):
    cut = SOURCE.replace("TOTAL_STEPS = 100_000", "TOTAL_STEPS = 26_000")
    cut = cut.replace("ROWS = 12", "ROWS = 4")
    assert cut.count("26_000") == cut.count("ROWS = 4") == 1
    (tmp_path / "gymnasium_dqn.py").write_text(cut)
    command = [sys.executable, "gymnasium_dqn.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    header, *rows = (line.split() for line in done.stdout.splitlines())
    assert header == ["steps", "return", "loss", "rejected", "stale"]
    assert [row[3:5] for row in rows] == [["0", "0"]] * 4
    assert float(rows[-1][1]) > 2 * float(rows[0][1])
    assert (tmp_path / "gymnasium_dqn_curve.png").stat().st_size > 10_000
