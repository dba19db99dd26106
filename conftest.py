"""What the doctests of the package find imported."""

import jax
import jax.numpy as jnp
import pytest


@pytest.fixture(autouse=True)
def _doctest_names(doctest_namespace):
    import jaxper

    doctest_namespace.update(vars(jaxper), jax=jax, jnp=jnp)
