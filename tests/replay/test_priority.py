"""From priority to leaf, at the ends of float32."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxper.replay import priority
from tests.helpers import reference

FINITE = [0.0, -0.0, 1e-45, 1e-40, 1e-30, 1e-9, 0.5, 1.0, 2.9, 1e9, 1e30, 3.4e38]


@pytest.mark.parametrize("epsilon", [0.0, 1e-30, 1e-6, 1.0])
@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.6, 1.0, 2.5, 20.0])
@pytest.mark.parametrize("capacity", [1, 1000])
def test_leaf_follows_float64(alpha, epsilon, capacity):
    model = reference.ReferenceReplay(capacity, alpha, epsilon)
    values = np.array(FINITE, np.float32)
    leaves = priority.compute_leaf(jnp.asarray(values), jnp.float32(alpha), epsilon, capacity)
    np.testing.assert_allclose(leaves, [model.leaf(value) for value in values], rtol=2e-5)


def test_only_finite_magnitudes_are_priorities():
    good = priority.is_priority(jnp.array(FINITE, jnp.float32))
    bad = priority.is_priority(jnp.array([np.nan, -np.nan, np.inf, -np.inf, -1e-45, -1.0]))
    assert good.all()
    assert not bad.any()
