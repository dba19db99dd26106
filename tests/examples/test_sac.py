"""Soft actor-critic in one file: its policy's log-probability, and that it learns."""

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

pytest.importorskip("gymnax")
pytest.importorskip("flax")

SOURCE = (Path(__file__).parents[2] / "examples" / "sac.py").read_text()


@pytest.fixture(scope="module")
def example():
    names = {"__name__": "sac"}
    exec(compile(SOURCE, "sac.py", "exec"), names)
    return names


def test_it_imports_no_sibling():
    imported = set(re.findall(r"^(?:import|from) (\w+)", SOURCE, re.MULTILINE))
    assert imported == {"flax", "gymnax", "jax", "jaxper", "matplotlib", "optax", "typing"}
    assert SOURCE.count("\n") <= 240


def test_log_probability_is_that_of_the_squashed_gaussian(example):
    """It is the slope of the distribution function of tanh(raw), taken numerically."""
    raw = np.array([-2.0, -0.3, 0.0, 0.8, 1.9])
    mean, log_std, width = 0.4, -0.5, 1e-6
    action = np.tanh(raw)
    above, below = (np.arctanh(action + sign * width / 2) for sign in (1, -1))
    gaussian = norm(mean, np.exp(log_std))
    expected = np.log((gaussian.cdf(above) - gaussian.cdf(below)) / width)
    one = example["compute_log_probability"](raw[:, None], mean, log_std)
    np.testing.assert_allclose(one, expected, atol=1e-4)
    # The numbers of an action are independent.
    both = example["compute_log_probability"](np.stack([raw, raw[::-1]], axis=1), mean, log_std)
    np.testing.assert_allclose(both, expected + expected[::-1], atol=1e-4)
    # By hand: a standard Gaussian of density 1 / sqrt(2 pi) at 0, where the slope of tanh is 1.
    at_zero = example["compute_log_probability"](np.zeros((1, 1)), 0.0, 0.0)
    np.testing.assert_allclose(at_zero, -0.918939, atol=1e-5)


def test_log_probability_stays_finite_if_tanh_saturates(example):
    """At raw = 20 the slope of tanh is 4 exp(-40), which float32 rounds to 0 as 1 - tanh^2."""
    found = example["compute_log_probability"](np.array([[20.0], [-20.0]]), 0.0, 0.0)
    expected = norm.logpdf(20.0) + 40 - np.log(4)
    np.testing.assert_allclose(found, [expected, expected], rtol=1e-6)


@pytest.mark.slow
def test_a_cut_of_it_learns(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cut = SOURCE.replace("TOTAL_STEPS = 40_000", "TOTAL_STEPS = 17_600")
    cut = cut.replace("SEEDS = 4", "SEEDS = 2").replace("ROWS = 16", "ROWS = 5")
    assert cut.count("17_600") == cut.count("SEEDS = 2") == cut.count("ROWS = 5") == 1
    exec(compile(cut, "sac.py", "exec"), {"__name__": "__main__"})
    header, *rows = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == ["steps", "return", "worst", "loss", "entropy", "temperature"]
    assert [int(row[0]) for row in rows] == [4_800, 8_000, 11_200, 14_400, 17_600]
    assert float(rows[0][1]) < -1_000
    assert float(rows[-1][1]) > -600
    assert (tmp_path / "sac_curve.png").read_bytes().startswith(b"\x89PNG")
