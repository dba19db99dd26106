"""Items as they are stored: the small leaves of each side by side in one row of 32-bit words.

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

from jaxper.lowering import bits as _bits
from jaxper.lowering import gather as _reads

LARGE = 1024  # bytes of a leaf: from here on it has an array of its own


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["words", "large"],
    meta_fields=["leaves", "structure"],
)
@dataclasses.dataclass(frozen=True)
class Records:
    """Items, one per place; the leading axes are [capacity], or [rows, num_envs] of a stream."""

    words: Array  # uint32 [..., words of the small leaves]
    large: tuple[Any, ...]  # [..., shape] of each large leaf, some as `Bits`
    leaves: tuple[jax.ShapeDtypeStruct, ...]  # of one item
    structure: Any  # of the pytree that these leaves make up


def init(spec: Any, *shape: int) -> Records:
    """Empty places, `shape` of them, for items of shapes and dtypes `spec`."""
    leaves, structure = jax.tree.flatten(spec)
    leaves = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
    return Records(
        words=jnp.zeros((*shape, sum(map(width, leaves))), jnp.uint32),
        large=_bits.stored(
            tuple(jnp.zeros((*shape, *x.shape), x.dtype) for x in leaves if not width(x))
        ),
        leaves=leaves,
        structure=structure,
    )


def expected(records: Records) -> Any:
    """Shapes and dtypes of as many items as there are places, leaves [..., shape]."""
    places = records.words.shape[:-1]
    return jax.tree.unflatten(
        records.structure,
        [jax.ShapeDtypeStruct((*places, *leaf.shape), leaf.dtype) for leaf in records.leaves],
    )


def stored(records: Records, items: Any) -> tuple[Array, tuple[Any, ...]]:
    """What `words` and `large` hold of items, whose leaves have as many leading axes as these."""
    given = [jnp.asarray(leaf) for leaf in jax.tree.leaves(items)]
    leading = records.words.ndim - 1
    wide = [(leaf, width(spec)) for leaf, spec in zip(given, records.leaves, strict=True)]
    small = [packed(leaf, leading) for leaf, words in wide if words]
    none = jnp.zeros((*given[0].shape[:leading], 0), jnp.uint32)
    words = jnp.concatenate(small, axis=-1) if small else none
    return words, _bits.stored(tuple(leaf for leaf, words in wide if not words))


def numbered(records: Records) -> Any:
    """The pytree of an item with the number of each leaf in its place."""
    return jax.tree.unflatten(records.structure, range(len(records.leaves)))


def read(records: Records, numbers: Any, slots: Array) -> Any:
    """Leaves of the items in `slots`, of those small in one read; each array waits for the last.

    Args:
      records: what is stored.
      numbers: which leaves, a pytree of their numbers.
      slots: places counted through, uint32 of any shape.

    Returns:
      The pytree of the leaves, [shape of slots, shape of the leaf].
    """
    wanted, structure = jax.tree.flatten(numbers)
    small = [number for number in wanted if width(records.leaves[number])]
    found, scratch = _read_small(records, small, slots)
    for number in wanted:
        if number not in found:
            found[number], scratch = _read_large(records, number, scratch, slots)
    return jax.tree.unflatten(structure, [found[number] for number in wanted])


def _read_small(records: Records, numbers: list[int], slots: Array) -> tuple[dict, Array]:
    """Leaves by their numbers, out of one read of the words that they lie in, and its scratch."""
    ends = np.cumsum([0, *map(width, records.leaves)]).tolist()
    first = min((ends[number] for number in numbers), default=0)
    last = max((ends[number + 1] for number in numbers), default=0)
    columns = _reads.Columns(first, last)
    words, scratch = _reads.read(slots, _flat(records, records.words), slots, columns)

    def leaf(number: int) -> Array:
        own = words[..., ends[number] - first : ends[number + 1] - first]
        return unpacked(own, records.leaves[number])

    return {number: leaf(number) for number in numbers}, scratch


def _read_large(records: Records, number: int, scratch: Array, slots: Array) -> tuple[Array, Array]:
    """A leaf with an array of its own, and the scratch of its read."""
    before = sum(not width(leaf) for leaf in records.leaves[:number])
    (bits,), structure = jax.tree.flatten(_flat(records, records.large[before]))
    value, scratch = _reads.read(scratch, bits, slots)
    return _bits.given(jax.tree.unflatten(structure, [value])), scratch


def _flat(records: Records, array: Any) -> Any:
    """An array, or `Bits`, of one axis of places."""
    leading = records.words.ndim - 1
    count = math.prod(records.words.shape[:leading])
    return jax.tree.map(lambda bits: bits.reshape(count, *bits.shape[leading:]), array)


def width(spec: jax.ShapeDtypeStruct) -> int:
    """Words that a leaf takes; 0 where it has an array of its own."""
    size = spec.size * spec.dtype.itemsize
    return -(-size // 4) if _bits.has_bytes(spec.dtype) and size < LARGE else 0


def packed(leaf: Array, leading: int) -> Array:
    """The bytes of a leaf as uint32 [leading axes, width], filled up with zeros."""
    outer = leaf.shape[:leading]
    leaf = _bits.of(leaf.reshape(*outer, math.prod(leaf.shape[leading:])))
    per_word = 4 // leaf.dtype.itemsize
    if per_word > 1:
        leaf = jnp.pad(leaf, [(0, 0)] * leading + [(0, -leaf.shape[-1] % per_word)])
        leaf = leaf.reshape(*outer, leaf.shape[-1] // per_word, per_word)
    words = jax.lax.bitcast_convert_type(leaf, jnp.uint32)
    return words.reshape(*outer, math.prod(words.shape[leading:]))


def unpacked(words: Array, spec: jax.ShapeDtypeStruct) -> Array:
    """What `packed` made of a leaf, [leading axes, shape] again."""
    outer, size = words.shape[:-1], spec.dtype.itemsize
    if size == 8:
        words = words.reshape(*outer, spec.size, 2)
    leaf = _bits.to(_bits.unsigned(spec.dtype), words)
    leaf = leaf.reshape(*outer, math.prod(leaf.shape[len(outer) :]))[..., : spec.size]
    return _bits.to(spec.dtype, leaf).reshape(*outer, *spec.shape)
