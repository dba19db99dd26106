"""The points of the total on which the draws of a batch fall."""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering import exact_products
from jaxper.lowering.order import delay_key, settle

# One draw from each of equal slices of the total, or independent draws.
Strategy = Literal["stratified", "iid"]

# Slices from which on one random word per draw is enough: the total then has 2^40 places.
# It is part of the result, and so no threshold of `lowering.limits`.
SLICES_FOR_ONE_WORD = 256


def draw(key: Array, batch_size: int, total: Array, strategy: Strategy) -> tuple[Array, Array]:
    """Draws random masses in [0, total), each a sum of two float32.

    One float32 uniform has 2^23 values: too few for more leaves than that, or for leaves much
    smaller than the rest. A first word therefore picks one of at least 2^21 steps of the total,
    and a second word a place within the step. With many slices the unused low bits of the first
    word are enough for that.

    Args:
      key: a JAX random key.
      batch_size: number of draws B.
      total: float32 [], the sum of the leaves.
      strategy: `"stratified"` draws once from each of B equal slices, `"iid"` independently.

    Returns:
      float32 [B] twice: the mass, and a small number to be added to it.
    """
    # A total moves through operations that have no gradient.
    total = jax.lax.stop_gradient(total)
    key = delay_key(key, until=total)
    if strategy == "stratified" and batch_size >= SLICES_FOR_ONE_WORD:
        coarse = _random_words(key, batch_size)
        fine = coarse << _step_bits(batch_size)
    else:
        coarse, fine = _random_words(key, 2 * batch_size).reshape(2, batch_size)
    if strategy == "iid":
        return place_in_slices(np.zeros(batch_size), 1, total, coarse, fine)
    return place_in_slices(make_spread_order(batch_size), batch_size, total, coarse, fine)


def draw_below(key: Array, batch_size: int, count: Array) -> Array:
    """Draws random integers in [0, count), uint32 [B]; with a count of 0 they are 0.

        floor(count * w / 2^64),    w a word of 64 random bits

    Their chances differ by at most count / 2^64 of a chance. `jax.random.randint` is as exact with
    three runs of the generator; this is one.
    """
    coarse, fine = _random_words(key, 2 * batch_size).reshape(2, batch_size)
    return exact_products.scale(coarse, fine, count.astype(jnp.uint32))[0]


def _random_words(key: Array, count: int) -> Array:
    """Draws random uint32 [count].

    Threefry makes words two at a time. `bits` folds each two into one; `split` keeps both.
    """
    if jax.random.key_impl(key) != "threefry2x32":
        return jax.random.bits(key, (count,), jnp.uint32)
    half = -(-count // 2)
    first, second = jax.random.key_data(jax.random.split(key, half)).T
    # The two halves, one behind the other, as a sum of two paddings.
    zero = np.uint32(0)
    first, second = (
        jax.lax.pad(words, zero, [(before, half - before, 0)])
        for words, before in ((first, 0), (second, half))
    )
    return (first | second)[:count]


def make_spread_order(count: int) -> np.ndarray:
    """Orders 0 ... count - 1 so that the numbers in any run of them lie far apart.

    They are the ranks of the multiples of the golden ratio modulo 1, the sequence that leaves the
    smallest gaps.
    """
    golden = (5**0.5 - 1) / 2
    return np.argsort(np.argsort(np.arange(count) * golden % 1.0))


def place_in_slices(
    order: np.ndarray, slices: int, total: Array, coarse: Array, fine: Array
) -> tuple[Array, Array]:
    """Places each draw in its slice of the total, and never in the next one.

    In whole numbers, with m 2^e for the width of a slice and 2^bits steps in each of them:

        floor((order 2^bits + step + fine / 2^32) m)    in units of 2^(e - bits)

    As float32 products the steps would begin up to half a unit in the last place off: far up in a
    large total some places would then be drawn twice as often as they should, and others never.

    Args:
      order: integers [B], the slice of each draw.
      slices: how many equal slices the total has.
      total: float32 [].
      coarse: random uint32 [B], whose upper bits pick a step.
      fine: random uint32 [B], which pick a place in the step.

    Returns:
      float32 [B] twice: the mass, and a small number to be added to it.
    """
    bits, powers = _step_bits(slices), (slices - 1).bit_length()
    (width,) = settle(exact_products.divide_up(total, slices))
    mantissa, power = exact_products.split_float(width)
    step = jnp.asarray(order, jnp.uint32) << bits | coarse >> (32 - bits)
    high, low = exact_products.scale(step, fine, mantissa)
    # The last place of the total is this many powers of two above that of the products.
    unit = bits + powers
    mass = (high << (32 - unit)) | (low >> unit)
    rest = low & np.uint32(2**unit - 1)
    scale = power * 2.0 ** (powers - 23)
    return mass.astype(jnp.float32) * scale, rest.astype(jnp.float32) * 2.0**-unit * scale


def _step_bits(slices: int) -> int:
    """Returns how many bits number the steps of a slice: about 2^22 in the total, 2 at least."""
    return max(1, 22 - (slices - 1).bit_length())
