"""Storage of items: the small leaves of an item side by side in one row of 32-bit words.

A draw then reads one place per item and an add writes one, whatever an item consists of: that is
one operation on a GPU in place of one per leaf, and one cache miss in place of one per leaf.
Leaves that are large, such as images, have arrays of their own.
"""

import dataclasses
import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper import _bits, _xla

LARGE = 1024  # bytes of a leaf: from here on it has an array of its own
FAR = 2**22  # words stored: so many lie outside of the caches near a core
MOST_WORDS = 2**16  # of a batch: so many one thread reads as fast as two
WORDS_OF_A_LINE = 16  # of a cache, by which it reads memory


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["words", "large"],
    meta_fields=["leaves", "structure"],
)
@dataclasses.dataclass(frozen=True)
class Rows:
    """Items, one per slot."""

    words: Array  # uint32 [capacity, words of the small leaves]
    large: tuple[Any, ...]  # [capacity, ...] of each large leaf, some as `Bits`
    leaves: tuple[jax.ShapeDtypeStruct, ...]  # of one item
    structure: Any  # of the pytree that these leaves make up


def init(spec: Any, capacity: int) -> Rows:
    """Empty slots for items of shapes and dtypes `spec`."""
    leaves, structure = jax.tree.flatten(spec)
    leaves = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    return Rows(
        words=jnp.zeros((capacity, sum(map(_width, leaves))), jnp.uint32),
        large=_bits.stored(
            tuple(jnp.zeros((capacity, *x.shape), x.dtype) for x in leaves if not _width(x))
        ),
        leaves=leaves,
        structure=structure,
    )


def expected(rows: Rows) -> Any:
    """Shapes and dtypes of as many items as there are slots, leaves [capacity, ...]."""
    capacity = len(rows.words)
    return jax.tree.unflatten(
        rows.structure,
        [jax.ShapeDtypeStruct((capacity, *leaf.shape), leaf.dtype) for leaf in rows.leaves],
    )


def write(rows: Rows, slots: Array, items: Any) -> Rows:
    """`rows` with items, leaves [B, ...], at `slots`, uint32 [B], no slot twice but `NO_SLOT`."""
    given = [jnp.asarray(leaf) for leaf in jax.tree.leaves(items)]
    small = [_packed(leaf) for leaf, spec in zip(given, rows.leaves, strict=True) if _width(spec)]
    large = tuple(leaf for leaf, spec in zip(given, rows.leaves, strict=True) if not _width(spec))
    words = jnp.concatenate(small, axis=1) if small else rows.words[: len(slots)]
    return dataclasses.replace(
        rows,
        words=_xla.scattered(rows.words, slots, words),
        large=jax.tree.map(
            lambda stored, new: _scatter_large(stored, slots, new), rows.large, _bits.stored(large)
        ),
    )


def read(rows: Rows, slots: Array) -> Any:
    """The items at `slots`, int32 [B] in [0, capacity); constants to a gradient."""
    large = jax.tree.map(lambda array: _gather_large(array, slots), rows.large)
    large = iter(_bits.given(large))
    small = [spec for spec in rows.leaves if _width(spec)]
    words = iter(_words_of(rows.words, slots, tuple(map(_width, small))))
    leaves = [_unpacked(next(words), spec) if _width(spec) else next(large) for spec in rows.leaves]
    return jax.tree.unflatten(rows.structure, leaves)


def _scatter_large(stored: Array, slots: Array, new: Array) -> Array:
    """`stored` with a large leaf of new items, by a GPU as words, in place: see `_gather_large`."""
    if not _fills_words(_spec_of(stored)):
        return _xla.scattered(stored, slots, new)

    def as_words(stored: Array, slots: Array, new: Array) -> Array:
        return _unpacked(_xla.scattered(_packed(stored), slots, _packed(new)), _spec_of(stored))

    return jax.lax.platform_dependent(stored, slots, new, cuda=as_words, default=_xla.scattered)


def _gather_large(stored: Array, slots: Array) -> Array:
    """A large leaf at `slots`.

    A GPU moves four numbers a thread, so of words four times as many bytes. It takes an array of
    bytes for one of words without a copy; a CPU does not.
    """
    stored = jax.lax.stop_gradient(stored)  # small leaves, which move as bits, have none either
    if not _fills_words(_spec_of(stored)):
        return _xla.gathered(stored, slots)

    def as_words(stored: Array, slots: Array) -> Array:
        return _unpacked(_xla.gathered(_packed(stored), slots), _spec_of(stored))

    return jax.lax.platform_dependent(stored, slots, cuda=as_words, default=_xla.gathered)


def _spec_of(stored: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(stored.shape[1:], stored.dtype)


def _fills_words(spec: jax.ShapeDtypeStruct) -> bool:
    """Whether a leaf is of integers shorter than a word, and of whole words.

    A bool is no number of eight bits to XLA, and a float through words would have no gradient.
    """
    size = spec.dtype.itemsize
    return spec.dtype.kind in "iu" and size < 4 and spec.size * size % 4 == 0


def _words_of(words: Array, slots: Array, widths: tuple[int, ...]) -> list[Array]:
    """The words at `slots`, cut to the widths of the leaves: uint32 [B, width] each.

    One gather is one operation. A CPU copies each word twice for it, so it gathers the leaves of
    a large batch one by one; of a small one it would take longer to start and to join the threads
    that XLA gives to each gather, so these are read on one.
    """
    starts = np.cumsum((0, *widths))[:-1].tolist()

    def cut(batch: Array) -> list[Array]:
        return [batch[:, a : a + width] for a, width in zip(starts, widths, strict=True)]

    def together(words: Array, slots: Array) -> list[Array]:
        return cut(_xla.gathered(words, slots))

    def on_one_thread(words: Array, slots: Array) -> list[Array]:
        places = slots.astype(jnp.uint32)
        if words.size >= FAR:
            lines = range(0, words.shape[1], WORDS_OF_A_LINE)
            places = _xla.touched(places, words, lines)
            places, _ = _xla.computed_once(slots, places, reads=words.size)
        batch = _xla.gathered(words, places)
        return cut(_xla.computed_once(slots, batch, reads=words.size)[0])

    def one_by_one(words: Array, slots: Array) -> list[Array]:
        return [_columns(words, slots, a, width) for a, width in zip(starts, widths, strict=True)]

    if not sum(widths):
        return together(words, slots)
    few = len(slots) <= _xla.MOST_ON_ONE_THREAD and len(slots) * sum(widths) <= MOST_WORDS
    cpu = on_one_thread if few else one_by_one
    return jax.lax.platform_dependent(words, slots, cpu=cpu, default=together)


def _columns(words: Array, slots: Array, start: int, width: int) -> Array:
    """`words[slots, start : start + width]`, in one gather."""
    places = jnp.stack([slots, jnp.full_like(slots, start)], axis=-1)
    numbers = jax.lax.GatherDimensionNumbers((1,), (0,), (0, 1))
    return jax.lax.gather(words, places, numbers, (1, width), mode="promise_in_bounds")


def _width(spec: jax.ShapeDtypeStruct) -> int:
    """Words that a leaf takes in a row; 0 where it has an array of its own."""
    size = spec.size * spec.dtype.itemsize
    return -(-size // 4) if _bits.has_bytes(spec.dtype) and size < LARGE else 0


def _packed(leaf: Array) -> Array:
    """The bytes of a leaf [B, ...] as uint32 [B, width], filled up with zeros."""
    leaf = leaf.reshape(len(leaf), math.prod(leaf.shape[1:]))
    leaf = _bits.of(leaf)
    per_word = 4 // leaf.dtype.itemsize
    if per_word > 1:
        leaf = jnp.pad(leaf, ((0, 0), (0, -leaf.shape[1] % per_word)))
        leaf = leaf.reshape(len(leaf), leaf.shape[1] // per_word, per_word)
    words = jax.lax.bitcast_convert_type(leaf, jnp.uint32)
    return words.reshape(len(leaf), math.prod(words.shape[1:]))


def _unpacked(words: Array, spec: jax.ShapeDtypeStruct) -> Array:
    """What `_packed` made of a leaf, [B, ...] again."""
    size = spec.dtype.itemsize
    if size == 8:
        words = words.reshape(len(words), spec.size, 2)
    leaf = _bits.to(_bits.unsigned(spec.dtype), words)
    leaf = leaf.reshape(len(words), math.prod(leaf.shape[1:]))[:, : spec.size]
    return _bits.to(spec.dtype, leaf).reshape(len(words), *spec.shape)
