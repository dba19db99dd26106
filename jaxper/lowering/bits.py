"""The bits of numbers as unsigned integers: moved as floats, XLA may change those of a NaN."""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

_FLOATS = (np.float16, np.float32, np.float64)
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}  # by bytes


def has_bytes(dtype: Any) -> bool:
    """Whether numbers of this dtype are whole bytes that JAX can take for integers."""
    return dtype.kind in "biu" or dtype in _FLOATS or _is_short_float(dtype)


def _is_short_float(dtype: Any) -> bool:
    """A bfloat16 or one of the floats of 8 bits; some that a CPU has no operations for."""
    if dtype in _FLOATS or not jnp.issubdtype(dtype, jnp.floating):
        return False
    return jnp.finfo(dtype).bits == 8 * dtype.itemsize


@partial(jax.tree_util.register_dataclass, data_fields=["bits"], meta_fields=["dtype"])
@dataclasses.dataclass(frozen=True)
class Bits:
    """An array of short floats, stored as its bits.

    Else XLA would widen all of it on a CPU before it writes a row.
    """

    bits: Array  # uint8 or uint16
    dtype: Any  # of the numbers


def stored(leaves: Any) -> Any:
    """A pytree of arrays as it is stored: of short floats `Bits`."""
    return jax.tree.map(
        lambda leaf: Bits(of(leaf), leaf.dtype) if _is_short_float(leaf.dtype) else leaf, leaves
    )


def given(leaves: Any) -> Any:
    """What `stored` makes of these: arrays of their own dtypes again."""
    return jax.tree.map(
        lambda leaf: to(leaf.dtype, leaf.bits) if _is_bits(leaf) else leaf, leaves, is_leaf=_is_bits
    )


def _is_bits(node: Any) -> bool:
    return isinstance(node, Bits)


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
