"""The bits of numbers as unsigned integers: moved as floats, XLA may change those of a NaN."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

_FLOATS = (np.float16, np.float32, np.float64)
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def has_bytes(dtype: Any) -> bool:
    """Whether numbers of this dtype are whole bytes that JAX can reinterpret as integers."""
    return dtype.kind in "biu" or dtype in _FLOATS or _is_short_float(dtype)


def bits_dtype(dtype: Any) -> Any:
    """The dtype of the bits of a number of `dtype`."""
    return _UNSIGNED[dtype.itemsize]


def as_bits(values: Array) -> Array:
    """Returns the bits as unsigned integers of the same shape and size; a bool becomes 0 or 1."""
    if values.dtype == np.bool_:
        return values.astype(jnp.uint8)
    return jax.lax.bitcast_convert_type(values, bits_dtype(values.dtype))


def from_bits(dtype: Any, bits: Array) -> Array:
    """Returns the numbers of `dtype` that have these bits, the inverse of `as_bits`."""
    if dtype == np.bool_:
        return bits.astype(bool)
    return jax.lax.bitcast_convert_type(bits, dtype)


@partial(jax.tree_util.register_dataclass, data_fields=["bits"], meta_fields=["dtype"])
@dataclasses.dataclass(frozen=True)
class ShortFloats:
    """An array of floats of 8 or 16 bits (not float16), held as its bits.

    CPU: XLA has no operations on some of these, so it would widen the whole array at each write.
    """

    bits: Array  # uint8 or uint16, any shape
    dtype: Any


def wrap_short_floats(arrays: Any) -> Any:
    """Replaces each array of short floats in a pytree by its `ShortFloats`."""
    return jax.tree.map(
        lambda array: (
            ShortFloats(as_bits(array), array.dtype) if _is_short_float(array.dtype) else array
        ),
        arrays,
    )


def unwrap_short_floats(arrays: Any) -> Any:
    """Replaces each `ShortFloats` in a pytree by its array, the inverse of `wrap_short_floats`."""
    return jax.tree.map(
        lambda node: from_bits(node.dtype, node.bits) if _is_wrapped(node) else node,
        arrays,
        is_leaf=_is_wrapped,
    )


def _is_short_float(dtype: Any) -> bool:
    if dtype in _FLOATS or not jnp.issubdtype(dtype, jnp.floating):
        return False
    return jnp.finfo(dtype).bits == 8 * dtype.itemsize


def _is_wrapped(node: Any) -> bool:
    return isinstance(node, ShortFloats)
