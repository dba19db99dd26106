"""The bits of numbers as unsigned integers: moved as floats, XLA may change those of a NaN."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}  # by bytes


def has_bytes(dtype: Any) -> bool:
    """Whether numbers of this dtype are whole bytes that JAX can take for integers."""
    return dtype.kind in "biuf" or dtype == jnp.bfloat16


def of(values: Array) -> Array:
    """Unsigned integers of the same shape and size; of bools 0 and 1."""
    if values.dtype == np.bool_:
        return values.astype(jnp.uint8)
    return jax.lax.bitcast_convert_type(values, _UNSIGNED[values.dtype.itemsize])


def to(dtype: Any, bits: Array) -> Array:
    """The numbers of this dtype that have these bits."""
    if dtype == np.bool_:
        return bits.astype(bool)
    return jax.lax.bitcast_convert_type(bits, dtype)


def unsigned(dtype: Any) -> Any:
    """The dtype of the bits of a dtype."""
    return _UNSIGNED[dtype.itemsize]


def unit_interval(bits: Array) -> Array:
    """Uniform float32 in [0, 1) of 24 bits, from random uint32."""
    return (bits >> 8).astype(jnp.float32) * 2.0**-24
