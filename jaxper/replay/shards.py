"""The named axis along which shards lie side by side, one replay each.

It is that of `shard_map`, `pmap` or `vmap(axis_name=...)`. Without one, None, there is one shard.
Scalars alone pass along it.
"""

from collections.abc import Hashable

import jax
import jax.numpy as jnp
from jax import Array

Name = Hashable | None  # or a tuple of names

MOST = 2**31 - 1


def shards(axis_name: Name) -> int:
    """Their number."""
    return 1 if axis_name is None else jax.lax.axis_size(axis_name)


def own_key(key: Array, axis_name: Name) -> Array:
    """A random key of this shard's own, from one that may be the same on all."""
    return key if axis_name is None else jax.random.fold_in(key, jax.lax.axis_index(axis_name))


def total(value: Array, axis_name: Name) -> Array:
    """The sum of `value` over all shards, float32."""
    value = value.astype(jnp.float32)
    return value if axis_name is None else jax.lax.psum(value, axis_name)


def count(value: Array, axis_name: Name) -> Array:
    """The sum of counts over all shards, int32; one above 2^31 - 1 gives that."""
    if axis_name is None:
        return value
    exact = jax.lax.psum(value.astype(jnp.int32), axis_name)
    return jnp.where(total(value, axis_name) < MOST, exact, MOST)


def smallest(value: Array, axis_name: Name) -> Array:
    """The smallest `value` of any shard."""
    return value if axis_name is None else jax.lax.pmin(value, axis_name)
