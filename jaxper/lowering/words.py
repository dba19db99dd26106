"""Arrays of numbers as rows of 32-bit words, byte for byte."""

import math

import jax
import jax.numpy as jnp
from jax import Array

from jaxper.lowering import bits


def pack(array: Array, leading: int) -> Array:
    """Packs the bytes of an array into uint32 [leading axes, words], filled up with zeros."""
    outer = array.shape[:leading]
    array = bits.as_bits(array.reshape(*outer, math.prod(array.shape[leading:])))
    per_word = 4 // array.dtype.itemsize
    if per_word > 1:
        array = jnp.pad(array, [(0, 0)] * leading + [(0, -array.shape[-1] % per_word)])
        array = array.reshape(*outer, array.shape[-1] // per_word, per_word)
    words = jax.lax.bitcast_convert_type(array, jnp.uint32)
    return words.reshape(*outer, math.prod(words.shape[leading:]))


def unpack(words: Array, spec: jax.ShapeDtypeStruct) -> Array:
    """Returns the array [leading axes, shape] that `pack` packed; `spec` is without those axes."""
    outer, size = words.shape[:-1], spec.dtype.itemsize
    if size == 8:
        words = words.reshape(*outer, spec.size, 2)
    array = bits.from_bits(bits.bits_dtype(spec.dtype), words)
    array = array.reshape(*outer, math.prod(array.shape[len(outer) :]))[..., : spec.size]
    return bits.from_bits(spec.dtype, array).reshape(*outer, *spec.shape)


def fills_words(spec: jax.ShapeDtypeStruct) -> bool:
    """Whether an array consists of integers shorter than a word that fill whole words.

    XLA does not take a bool for a number of eight bits. Floats are left out: not measured.
    """
    size = spec.dtype.itemsize
    return spec.dtype.kind in "iu" and size < 4 and spec.size * size % 4 == 0
