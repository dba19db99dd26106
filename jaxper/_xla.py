"""What XLA has to be told, so that it writes in place and computes things once."""

import jax
import jax.numpy as jnp
from jax import Array


def after(value: Array, *reads: Array) -> Array:
    """`value`, which XLA takes to depend on `reads`: floats [] or of the shape of `value`.

    XLA copies a buffer before it writes to it where nothing orders an earlier read of that buffer
    first. An optimization barrier does not, since it is gone before copies are placed. A data
    dependence does: no float is both NaN and 0, which XLA does not know. Should it ever learn,
    the test of copies under donation turns red.
    """
    for read in reads:
        value = jnp.where((read != read) & (read == 0), jnp.zeros_like(value), value)
    return value


def computed_once(values: Array) -> Array:
    """`values`, which a CPU does not compute again for each use.

    XLA fuses a chain of elementwise operations into every consumer on a CPU, each with all levels
    of a descent in it: a step of a million items took six times as long. It does not fuse a
    scatter. Elsewhere this is nothing at all.
    """
    return jax.lax.platform_dependent(values, cpu=_through_scatter, default=lambda values: values)


def _through_scatter(values: Array) -> Array:
    rows = jnp.arange(values.size, dtype=jnp.uint32)
    copied = jnp.zeros_like(values).ravel().at[rows].set(values.ravel(), unique_indices=True)
    return copied.reshape(values.shape)
