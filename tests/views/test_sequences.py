"""Tests of what only sequences do; that they follow the reference is tested with all streams."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import sequence_priority


def test_priorities_of_sequences():
    random = np.random.default_rng(0)
    errors = random.normal(size=(4, 3, 7)).astype(np.float32)
    mask = random.random((4, 3, 7)) < 0.6
    mask[0, 0] = False
    errors[~mask] = np.nan  # never read
    found = sequence_priority(errors, mask, eta=0.8)
    for place in np.ndindex(4, 3):
        kept = np.abs(errors[place][mask[place]])
        expected = 0.8 * kept.max() + 0.2 * kept.mean() if kept.size else 0.0
        np.testing.assert_allclose(found[place], expected, rtol=1e-5)
    assert found.dtype == jnp.float32


def test_large_errors_do_not_overflow_on_the_way():
    errors, mask = jnp.full(4, 3e38), jnp.ones(4, bool)
    np.testing.assert_allclose(sequence_priority(errors, mask, 1.0), 3e38, rtol=1e-5)
    np.testing.assert_allclose(sequence_priority(errors, mask, 0.5), 3e38, rtol=1e-5)


def test_arguments_that_do_not_fit():
    with pytest.raises(ValueError, match="mask must have the shape of td_errors"):
        sequence_priority(jnp.ones((2, 3)), jnp.ones(3, bool))
    with pytest.raises(ValueError, match=r"mask must be bool, got float32; write jnp.asarray"):
        sequence_priority(jnp.ones(3), jnp.ones(3))
    with pytest.raises(ValueError, match="td_errors must be real"):
        sequence_priority(jnp.ones(3, jnp.complex64), jnp.ones(3, bool))
    with pytest.raises(ValueError, match="td_errors must have shape"):
        sequence_priority(1.0, True)
    with pytest.raises(ValueError, match="eta must be from 0 to 1"):
        sequence_priority(jnp.ones(3), jnp.ones(3, bool), eta=2.0)
