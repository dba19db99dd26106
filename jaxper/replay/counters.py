"""Counters that never overflow."""

import jax.numpy as jnp
from jax import Array


def saturating_add(counter: Array, more: Array) -> Array:
    """Adds to a uint32 counter, held at the largest uint32."""
    return jnp.where(more > ~counter, ~jnp.uint32(0), counter + more)
