"""The example in one file learns, with nothing beside it."""

import re
from pathlib import Path

import pytest

pytest.importorskip("gymnax")
pytest.importorskip("flax")

SOURCE = (Path(__file__).parents[2] / "examples" / "dqn_single_file.py").read_text()


def test_it_imports_no_sibling():
    imported = set(re.findall(r"^(?:import|from) (\w+)", SOURCE, re.MULTILINE))
    assert imported == {"flax", "gymnax", "jax", "jaxper", "optax", "typing"}
    assert SOURCE.count("\n") <= 200


@pytest.mark.slow
def test_a_cut_of_it_learns(capsys):
    cut = SOURCE.replace("TOTAL_STEPS = 100_000", "TOTAL_STEPS = 26_000")
    cut = cut.replace("SEEDS = 4", "SEEDS = 2").replace("ROWS = 12", "ROWS = 4")
    assert cut.count("26_000") == cut.count("SEEDS = 2") == cut.count("ROWS = 4") == 1
    exec(compile(cut, "dqn_single_file.py", "exec"), {"__name__": "__main__"})
    header, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == ["steps", "return", "loss", "rejected", "stale"]
    assert [row[3:5] for row in rows] == [["0", "0"]] * 4
    assert float(rows[-1][1]) > 2 * float(rows[0][1])
