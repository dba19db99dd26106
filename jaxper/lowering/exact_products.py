"""Products and quotients of 32-bit numbers without rounding.

XLA divides by a constant as a product with its rounded inverse, and a GPU does not always round a
quotient correctly: both are off by up to two units in the last place.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering import bits


def multiply(a: Array, b: Array) -> tuple[Array, Array]:
    """Returns the upper and the lower word of the products of uint32."""
    return _upper_word(a, b), a * b


def scale(whole: Array, fine: Array, factor: Array) -> tuple[Array, Array]:
    """Returns floor((whole + fine / 2^32) factor) of uint32: its upper and its lower word."""
    high, low = multiply(whole, factor)
    added = low + _upper_word(fine, factor)
    return high + (added < low).astype(jnp.uint32), added


def _upper_word(a: Array, b: Array) -> Array:
    """Returns the upper 32 bits of a * b. XLA does not compile `jax.lax.mulhi` in `shard_map`."""
    half = 2**16 - 1
    middle = (a >> 16) * (b & half) + ((a & half) * (b & half) >> 16)
    other = (a & half) * (b >> 16) + (middle & half)
    return (a >> 16) * (b >> 16) + (middle >> 16) + (other >> 16)


def split_float(number: Array) -> tuple[Array, Array]:
    """Splits a float32 into uint32 m and a power of two p: number = m / 2^23 * p.

    The number is 0 or positive; one too small to be normal counts as 0.
    """
    word = bits.as_bits(number)
    power = word & np.uint32(0xFF << 23)
    mantissa = (word & np.uint32(2**23 - 1)) | np.uint32(2**23)
    return jnp.where(power > 0, mantissa, 0), bits.from_bits(jnp.float32, power)


def divide_up(total: Array, count: int) -> Array:
    """Returns the smallest float32 w with count * w >= total."""
    width = total / count
    if count.bit_count() == 1:
        # The quotient by a power of two is exact.
        return width
    for _ in range(2):
        lower = _neighbour(width, -1)
        width = jnp.where(_covers(lower, count, total), lower, width)
    for _ in range(3):
        width = jnp.where(_covers(width, count, total), width, _neighbour(width, 1))
    return width


def _covers(width: Array, count: int, total: Array) -> Array:
    """Tells whether count * width >= total, without rounding."""
    mantissa, power = split_float(width)
    wanted, wanted_power = split_float(total)
    doublings = (bits.as_bits(wanted_power) - bits.as_bits(power)) >> 23
    high, low = multiply(jnp.asarray(count, jnp.uint32), mantissa)
    wanted_high, wanted_low = multiply(wanted, np.uint32(1) << doublings)
    return (high > wanted_high) | ((high == wanted_high) & (low >= wanted_low))


def _neighbour(number: Array, direction: int) -> Array:
    """Returns the float32 above (1) or below (-1) a number that is at least 0; below 0 is 0."""
    word = jax.lax.bitcast_convert_type(number, jnp.int32)
    return jax.lax.bitcast_convert_type(jnp.maximum(word + direction, 0), jnp.float32)
