"""Tests of the benchmark of learning: its statistics, and that it does what it says."""

import json
import sys

import numpy as np
import pytest

pytest.importorskip("gymnax")
import jax
import jax.numpy as jnp

from benchmarks import learning
from benchmarks.harness import learning_report, training
from benchmarks.harness.learning_report import Result


def test_interquartile_mean_leaves_out_a_quarter_at_each_end():
    values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 1000.0]
    assert learning_report.iqm(values) == np.mean([2, 3, 4, 5])


def test_score_is_the_mean_over_training_without_what_never_ended():
    curves = np.array([[1.0, np.nan], [3.0, 5.0]])
    assert learning_report.score(curves).tolist() == [2.0, 5.0]


def test_intervals_cover_as_often_as_they_say(monkeypatch):
    """Intervals of a normal mean; 95% of 200 are 190, and 40 seeds cover a little less."""
    monkeypatch.setattr(learning_report, "RESAMPLES", 1000)
    random = np.random.default_rng(0)
    found = [learning_report.interval(random.normal(3, 1, 40)) for _ in range(200)]
    assert 178 <= sum(low < 3 < high for low, high in found) <= 198


def test_interval_of_the_gain():
    random = np.random.default_rng(1)
    low, high = learning_report.interval(random.normal(1, 1, 40), random.normal(3, 1, 40))
    assert 1 < low < 2 < high < 3
    assert learning_report.interval(np.ones(9), np.full(9, 3.0)) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [(0.1, 0.2, "higher"), (-0.2, -0.1, "lower"), (-0.1, 0.2, "no clear difference")],
)
def test_verdict(low, high, says):
    assert learning_report.verdict(low, high) == says


def test_table_says_what_was_learned(tmp_path, capsys):
    random = np.random.default_rng(2)
    found = {
        name: Result(random.normal(mean, 0.1, (5, 12)), 0.01, {"0.01": mean}, 2000.0)
        for name, mean in (("uniform", 1.0), ("prioritized", 0.5))
    }
    learning_report.write_report({"catch": found}, 1000, tmp_path / "picture.png")
    text = capsys.readouterr().out
    assert (tmp_path / "picture.png").stat().st_size > 0
    assert (tmp_path / "picture.md").read_text() in text
    assert "| catch | uniform | 0.01 | 12 | 1.0" in text
    assert "): lower | |" in text
    assert "- catch, prioritized: 0.01: 0.500" in text


def test_each_rate_is_tried_with_the_same_seeds():
    keys, rates = training.pair_keys_with_rates(jax.random.key(0), (0.1, 0.2), 3)
    assert rates.tolist() == pytest.approx([0.1] * 3 + [0.2] * 3)
    assert (jax.random.key_data(keys[:3]) == jax.random.key_data(keys[3:])).all()


@pytest.mark.slow
def test_runs_learn_at_their_own_rate():
    setting = training.Setting("catch", 50 * 16 * 2, capacity=1600)
    start, advance = training.make_program(setting, "prioritized")
    runs = start(jax.random.split(jax.random.key(0), 3), jnp.array([0.0, 1e-3, 1e-2]))
    before = jax.tree.map(np.asarray, runs.learner.params)
    for _ in range(6):
        runs, returns = advance(runs)
    moved = jax.tree.map(
        lambda a, b: jnp.abs(a - b).max(axis=tuple(range(1, a.ndim))), before, runs.learner.params
    )
    moved = np.max(jax.tree.leaves(moved), axis=0)
    assert moved[0] == 0 < moved[1] < moved[2]
    assert returns.shape == (3,)


@pytest.mark.slow
def test_a_game_is_learned_once_and_kept(tmp_path, monkeypatch, capsys):
    options = {"games": "catch", "steps": 1600, "seeds": 4, "tuning-seeds": 2}
    options |= {"folder": tmp_path / "kept", "output": tmp_path / "learning.png"}
    line = ["learning", *(f"--{name}={value}" for name, value in options.items())]
    monkeypatch.setattr(sys, "argv", line)
    learning.main()
    first = capsys.readouterr().out
    (kept,) = (tmp_path / "kept").iterdir()
    found = json.loads(kept.read_text())
    for learned in found.values():
        assert np.shape(learned["curves"]) == (training.POINTS, 4)
        best = max(learned["tuned"], key=learned["tuned"].get)
        assert learned["rate"] == float(best)
    monkeypatch.setattr(learning, "compare", None)
    learning.main()
    assert capsys.readouterr().out.split("\n")[:4] == first.split("\n")[:4]
