"""Where in the total the draws of a batch fall."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_batching import custom_vmap

from jaxper.lowering import bits as _bits
from jaxper.lowering.in_place import apart, known_late, varying_as

Strategy = Literal["stratified", "iid"]
ONE_WORD = 256  # slices from which on one random word is enough: then the total has 2^40 places


def draw(key: Array, batch_size: int, total: Array, strategy: str) -> tuple[Array, Array]:
    """Random masses in [0, total), each a sum of two float32 for `sum_tree.descend`.

    One float32 uniform has 2^23 values: too few for more leaves than that, or for leaves much
    smaller than the rest. A first word therefore picks one of at least 2^21 steps of the total,
    and a second word a place within the step; of many slices what the first word has left does.

    Args:
      key: a JAX random key.
      batch_size: number of draws B.
      total: float32 [], the sum of the leaves.
      strategy: `"stratified"` draws once from each of B equal slices, `"iid"` independently.

    Returns:
      float32 [B] twice: mass, and what is to be added to it.
    """
    total = jax.lax.stop_gradient(total)  # what `custom_vmap` is in has no gradient
    key = _late(key, total)
    if strategy == "stratified" and batch_size >= ONE_WORD:
        coarse = _words(key, batch_size)
        fine = coarse << _step_bits(batch_size)
    else:
        coarse, fine = _words(key, 2 * batch_size).reshape(2, batch_size)
    if strategy == "iid":
        return within_slices(np.zeros(batch_size), 1, total, coarse, fine)
    return within_slices(spread_order(batch_size), batch_size, total, coarse, fine)


def integers(key: Array, batch_size: int, count: Array) -> Array:
    """Random integers in [0, count), uint32 [B]; of a count of 0 they are 0.

        floor(count * w / 2^64),    w a word of 64 random bits

    Their chances differ by at most count / 2^64 of a chance. `jax.random.randint` is as exact with
    three runs of the generator; this is one.
    """
    coarse, fine = _words(key, 2 * batch_size).reshape(2, batch_size)
    return _scaled(coarse, fine, count.astype(jnp.uint32))[0]


def _upper_word(a: Array, b: Array) -> Array:
    """Of the products of uint32. XLA does not compile `jax.lax.mulhi` inside `shard_map`."""
    half = 2**16 - 1
    middle = (a >> 16) * (b & half) + ((a & half) * (b & half) >> 16)
    other = (a & half) * (b >> 16) + (middle & half)
    return (a >> 16) * (b >> 16) + (middle >> 16) + (other >> 16)


def _late(key: Array, total: Array) -> Array:
    """`key`, for one replay on a CPU not known before the total is: see `computed_once`."""
    jax.random.split(key)  # is left out when compiled, but JAX's check for reused keys needs it
    data = _late_data(jax.random.key_data(key), total)
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))


@custom_vmap
def _late_data(data: Array, total: Array) -> Array:
    return known_late(data, total)


@_late_data.def_vmap
def _at_once(replays: int, batched: list[bool], data: Array, total: Array) -> tuple[Array, bool]:
    """Replays side by side are work enough for two threads: their words need not wait."""
    if replays == 1:
        data, total = (x[0] if b else x for x, b in zip((data, total), batched, strict=True))
        return _late_data(data, total)[None], True
    return varying_as(data, total), batched[0]


def _words(key: Array, count: int) -> Array:
    """Random uint32 [count].

    Threefry makes words two at a time. `bits` folds each two into one; `split` keeps both.
    """
    if jax.random.key_impl(key) != "threefry2x32":
        return jax.random.bits(key, (count,), jnp.uint32)
    half = -(-count // 2)
    first, second = jax.random.key_data(jax.random.split(key, half)).T
    # Side by side as a sum: a concatenation would be an operation of its own on a GPU.
    zero = np.uint32(0)
    first, second = (
        jax.lax.pad(words, zero, [(before, half - before, 0)])
        for words, before in ((first, 0), (second, half))
    )
    return (first | second)[:count]


def spread_order(count: int) -> np.ndarray:
    """0 ... count - 1, so ordered that the numbers in any run of them lie far apart.

    They are the ranks of the multiples of the golden ratio modulo 1, of all sequences the one that
    leaves the smallest gaps.
    """
    golden = (5**0.5 - 1) / 2
    return np.argsort(np.argsort(np.arange(count) * golden % 1.0))


def within_slices(
    order: np.ndarray, slices: int, total: Array, coarse: Array, fine: Array
) -> tuple[Array, Array]:
    """A place in slice `order` of `slices`, and never in the next one.

    In whole numbers, with m 2^e for the width of a slice and 2^bits steps in each of them:

        floor((order 2^bits + step + fine / 2^32) m)    in units of 2^(e - bits)

    As float32 products the steps would begin up to half a unit in the last place off: far up in a
    large total some places would then be drawn twice as often as they should, and others never.
    """
    bits, powers = _step_bits(slices), (slices - 1).bit_length()
    (width,) = apart(_width(total, slices))  # once, not for every slice
    mantissa, power = _mantissa_and_power(width)
    step = jnp.asarray(order, jnp.uint32) << bits | coarse >> (32 - bits)
    high, low = _scaled(step, fine, mantissa)
    unit = bits + powers  # of the last place of the total, as a power of the smaller ones
    mass = (high << (32 - unit)) | (low >> unit)
    rest = low & np.uint32(2**unit - 1)
    scale = power * 2.0 ** (powers - 23)
    return mass.astype(jnp.float32) * scale, rest.astype(jnp.float32) * 2.0**-unit * scale


def _width(total: Array, slices: int) -> Array:
    """The smallest width whose `slices` reach the total: with less they would leave out its end.

    XLA divides by a constant as a product with its rounded inverse, and a GPU does not always round
    a quotient correctly: both are off by up to two units in the last place.
    """
    width = total / slices
    if slices.bit_count() == 1:  # a power of two: nothing was rounded
        return width
    for _ in range(2):
        lower = _next(width, -1)
        width = jnp.where(_reach(lower, slices, total), lower, width)
    for _ in range(3):
        width = jnp.where(_reach(width, slices, total), width, _next(width, 1))
    return width


def _reach(width: Array, slices: int, total: Array) -> Array:
    """Whether so many slices are no less than the total, without rounding."""
    mantissa, power = _mantissa_and_power(width)
    wanted, wanted_power = _mantissa_and_power(total)
    doublings = (_bits.of(wanted_power) - _bits.of(power)) >> 23
    high, low = _product(jnp.asarray(slices, jnp.uint32), mantissa)
    wanted_high, wanted_low = _product(wanted, np.uint32(1) << doublings)
    return (high > wanted_high) | ((high == wanted_high) & (low >= wanted_low))


def _mantissa_and_power(number: Array) -> tuple[Array, Array]:
    """uint32 m and float32 p, a power of two, of a number m / 2^23 * p that is at least 0."""
    bits = _bits.of(number)
    power = bits & np.uint32(0xFF << 23)
    mantissa = (bits & np.uint32(2**23 - 1)) | np.uint32(2**23)
    return jnp.where(power > 0, mantissa, 0), _bits.to(jnp.float32, power)


def _scaled(whole: Array, fine: Array, factor: Array) -> tuple[Array, Array]:
    """floor((whole + fine / 2^32) factor) of uint32: its upper and its lower word."""
    high, low = _product(whole, factor)
    added = low + _upper_word(fine, factor)
    return high + (added < low).astype(jnp.uint32), added


def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """The upper and the lower word of the products of uint32."""
    return _upper_word(a, b), a * b


def _next(number: Array, direction: int) -> Array:
    """The float32 above (1) or below (-1) a number that is at least 0; below 0 is 0."""
    bits = jax.lax.bitcast_convert_type(number, jnp.int32)
    return jax.lax.bitcast_convert_type(jnp.maximum(bits + direction, 0), jnp.float32)


def _step_bits(slices: int) -> int:
    """Bits of the steps in a slice: of slices * 2^bits steps each is a float32."""
    return max(1, 22 - (slices - 1).bit_length())
