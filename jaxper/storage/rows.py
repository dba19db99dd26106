"""Records by their slots: how items are written there and read, by a CPU and by a GPU."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering import bits as _bits
from jaxper.lowering import gather as _reads
from jaxper.lowering import in_place as _xla
from jaxper.storage import records
from jaxper.storage.records import Records

FAR = 2**22  # words stored: so many lie outside of the caches near a core
MOST_WORDS = 2**16  # of a batch: so many one thread reads as fast as two
WORDS_OF_A_LINE = 16  # of a cache, by which it reads memory


def write(stored: Records, slots: Array, items: Any) -> Records:
    """`stored` with items, leaves [B, ...], at `slots`, uint32 [B], no slot twice but `NO_SLOT`."""
    words, large = records.stored(stored, items)
    return dataclasses.replace(
        stored,
        words=_xla.scattered(stored.words, slots, words),
        large=jax.tree.map(lambda old, new: _scatter_large(old, slots, new), stored.large, large),
    )


def read(stored: Records, slots: Array) -> Any:
    """The items at `slots`, int32 [B] in [0, capacity); constants to a gradient."""
    large = jax.tree.map(lambda array: _gather_large(array, slots), stored.large)
    large = iter(_bits.given(large))
    small = tuple(filter(None, map(records.width, stored.leaves)))
    words = iter(_words_of(stored.words, slots, small))
    leaves = [
        records.unpacked(next(words), spec) if records.width(spec) else next(large)
        for spec in stored.leaves
    ]
    return jax.tree.unflatten(stored.structure, leaves)


def _scatter_large(stored: Array, slots: Array, new: Array) -> Array:
    """`stored` with a large leaf of new items, by a GPU as words, in place: see `_gather_large`."""
    if not _fills_words(_spec_of(stored)):
        return _xla.scattered(stored, slots, new)

    def as_words(stored: Array, slots: Array, new: Array) -> Array:
        words = _xla.scattered(records.packed(stored, 1), slots, records.packed(new, 1))
        return records.unpacked(words, _spec_of(stored))

    return jax.lax.platform_dependent(stored, slots, new, cuda=as_words, default=_xla.scattered)


def _gather_large(stored: Array, slots: Array) -> Array:
    """A large leaf at `slots`.

    A GPU moves four numbers a thread, so of words four times as many bytes. It takes an array of
    bytes for one of words without a copy; a CPU does not.
    """
    stored = jax.lax.stop_gradient(stored)  # small leaves, which move as bits, have none either
    if not _fills_words(_spec_of(stored)):
        return _reads.gathered(stored, slots)

    def as_words(stored: Array, slots: Array) -> Array:
        words = _reads.gathered(records.packed(stored, 1), slots)
        return records.unpacked(words, _spec_of(stored))

    return jax.lax.platform_dependent(stored, slots, cuda=as_words, default=_reads.gathered)


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
        return cut(_reads.gathered(words, slots))

    def on_one_thread(words: Array, slots: Array) -> list[Array]:
        places = slots.astype(jnp.uint32)
        if words.size >= FAR:
            lines = range(0, words.shape[1], WORDS_OF_A_LINE)
            places = _reads.touched(places, words, lines)
            places, _ = _xla.computed_once(slots, places, reads=words.size)
        batch = _reads.gathered(words, places)
        return cut(_xla.computed_once(slots, batch, reads=words.size)[0])

    def one_by_one(words: Array, slots: Array) -> list[Array]:
        spans = [_reads.Columns(a, a + width) for a, width in zip(starts, widths, strict=True)]
        return [_reads.gathered(words, slots, span) for span in spans]

    if not sum(widths):
        return together(words, slots)
    few = len(slots) <= _xla.MOST_ON_ONE_THREAD and len(slots) * sum(widths) <= MOST_WORDS
    cpu = on_one_thread if few else one_by_one
    return jax.lax.platform_dependent(words, slots, cpu=cpu, default=together)
