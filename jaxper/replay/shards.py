"""Sums and minima over shards, one replay each along a named axis.

The axis is one of `shard_map`, `pmap` or `vmap(axis_name=...)`. Without one, None, there is one
shard. Only scalars pass along it.
"""

from collections.abc import Hashable

import jax
import jax.numpy as jnp
from jax import Array

from jaxper.checks.require import LARGEST_INT32

# A name, a tuple of names, or None.
AxisName = Hashable | None


def shard_count(axis_name: AxisName) -> int:
    """Returns the number of shards."""
    return 1 if axis_name is None else jax.lax.axis_size(axis_name)


def own_key(key: Array, axis_name: AxisName) -> Array:
    """Returns a random key of this shard's own, from one that may be the same on all."""
    return key if axis_name is None else jax.random.fold_in(key, jax.lax.axis_index(axis_name))


def sum_over_shards(value: Array, axis_name: AxisName) -> Array:
    """Adds up `value` over all shards, float32."""
    value = value.astype(jnp.float32)
    return value if axis_name is None else jax.lax.psum(value, axis_name)


def count_over_shards(value: Array, axis_name: AxisName) -> Array:
    """Adds up counts over all shards, int32; a sum above 2^31 - 1 is returned as that."""
    if axis_name is None:
        return value
    exact = jax.lax.psum(value.astype(jnp.int32), axis_name)
    fits = sum_over_shards(value, axis_name) < LARGEST_INT32
    return jnp.where(fits, exact, LARGEST_INT32)


def min_over_shards(value: Array, axis_name: AxisName) -> Array:
    """Returns the smallest `value` of any shard."""
    return value if axis_name is None else jax.lax.pmin(value, axis_name)
