"""Importance-sampling weights against their formulas in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import PrioritizedReplay, importance_weights
from jaxper.replay.importance import normalize_weights


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_weights_follow_the_formula(beta):
    probabilities = np.array([0.5, 0.25, 1e-9, 1e-30])
    weights = importance_weights(probabilities, 1000, beta)
    np.testing.assert_allclose(weights, (1000 * probabilities) ** -beta, rtol=1e-5)


def test_probability_zero_weighs_nothing():
    for beta in (0.0, 0.5, 1.0):
        np.testing.assert_array_equal(importance_weights(jnp.zeros(3), 0, beta), np.zeros(3))


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_normalise_weights_over_the_whole_range_of_leaves(beta):
    """Leaves 2^226 apart: their quotient is outside float32, their weights are finite."""
    leaves = np.array([2.0**-100, 1e-9, 1.0, 1e9, 2.0**126], np.float32)
    smallest, total = jnp.float32(leaves.min()), jnp.float32(2.0**126)
    weights = normalize_weights(jnp.asarray(leaves), smallest, total, beta, None)
    expected = np.exp(beta * (np.log(2.0**-100) - np.log(leaves.astype(np.float64))))
    np.testing.assert_allclose(weights, expected, rtol=5e-5, atol=2.0**-126)
    assert float(weights[0]) == 1.0


@pytest.mark.parametrize("normalize", ["none", "batch", "buffer"])
def test_gradients_of_an_empty_replay_are_0(normalize):
    replay = PrioritizedReplay(4, normalize=normalize)
    state = replay.init(jnp.float32(0))

    def weight(beta):
        return replay.sample(state, jax.random.key(0), 3, beta=beta).weights.sum()

    assert float(jax.grad(weight)(0.4)) == 0
