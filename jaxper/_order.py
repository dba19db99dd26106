"""Keeping reads before writes, so that XLA can write in place."""

import jax.numpy as jnp
from jax import Array


def after(value: Array, *reads: Array) -> Array:
    """`value`, which XLA takes to depend on `reads`: floats [] or of the shape of `value`.

    XLA copies a buffer before it writes to it where nothing orders an earlier read of that buffer
    first. An optimization barrier does not, since it is gone before copies are placed. A data
    dependence does: no float is both NaN and 0, which XLA does not know.
    """
    for read in reads:
        value = jnp.where((read != read) & (read == 0), jnp.zeros_like(value), value)
    return value
