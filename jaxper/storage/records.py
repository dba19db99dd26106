"""The arrays that hold items: the small arrays of each item side by side in one row of words.

A draw then reads one place per item and an add writes one, whatever an item consists of. An array
that is large, such as an image, is stored by itself.

Whole items are read with all their words in one gather, and their images as words. The wanted small
fields of a stream's step come in one gather too, its frames as they are. Both were measured: see
"the reads of a stream" and "bytes of images for words" in `benchmarks/NOTES.md`.
"""

import dataclasses
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import SingleDeviceSharding

from jaxper.lowering import bits, limits, words
from jaxper.lowering.gather import Columns, gather_and_cut, gather_as_words
from jaxper.lowering.scatter import scatter_rows, scatter_rows_as_words
from jaxper.lowering.trail import Trail


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["words", "large"],
    meta_fields=["specs", "structure"],
)
@dataclasses.dataclass(frozen=True)
class Records:
    """Items, one per place; the leading axes are [capacity], or [ring rows, num_envs]."""

    words: Array  # uint32 [..., words of the small arrays]
    large: tuple[Any, ...]  # [..., shape] of each large array, some as `ShortFloats`
    specs: tuple[jax.ShapeDtypeStruct, ...]  # the arrays of one item
    structure: Any  # the pytree that they make up

    @property
    def capacity(self) -> int:
        """Number of places."""
        return math.prod(self.words.shape[:-1])


def init(item: Any, *shape: int, memory_kind: str | None = None) -> Records:
    """Makes empty places for items.

    Args:
      item: shapes and dtypes of the arrays of one item.
      shape: how many places.
      memory_kind: the memory of the device that holds them, such as `"pinned_host"`; None for the
        default one.
    """
    arrays, structure = jax.tree.flatten(item)
    specs = tuple(jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays)
    separate = filter(_is_separate, specs)
    large = tuple(jnp.zeros((*shape, *spec.shape), spec.dtype) for spec in separate)
    empty = Records(
        words=jnp.zeros((*shape, sum(map(_width, specs))), jnp.uint32),
        large=bits.wrap_short_floats(large),
        specs=specs,
        structure=structure,
    )
    if memory_kind is None:
        return empty
    return jax.device_put(empty, SingleDeviceSharding(jax.devices()[0], memory_kind=memory_kind))


def item_spec(records: Records) -> Any:
    """Returns the shapes and dtypes of one item, as given to `init`."""
    return jax.tree.unflatten(records.structure, records.specs)


def batch_spec(records: Records) -> Any:
    """Returns the shapes and dtypes of as many items as there are places, arrays [..., shape]."""
    places = records.words.shape[:-1]
    return jax.tree.map(
        lambda spec: jax.ShapeDtypeStruct((*places, *spec.shape), spec.dtype), item_spec(records)
    )


def fields(records: Records) -> Any:
    """Returns the pytree of an item with the number of each array in its place, for `read`."""
    return jax.tree.unflatten(records.structure, range(len(records.specs)))


def write(records: Records, places: Array, items: Any) -> Records:
    """Writes items, arrays [B, ...], at `places` of the first axis, uint32 [B].

    No place occurs twice but `DROPPED`. In place under donation.
    """
    new_words, new_large = _pack(records, items)
    scatter = scatter_rows if _is_grid(records) else scatter_rows_as_words
    return dataclasses.replace(
        records,
        words=scatter_rows(records.words, places, new_words),
        large=jax.tree.map(
            lambda old, new: scatter(old, places, jnp.asarray(new)), records.large, new_large
        ),
    )


def read(records: Records, places: Array, wanted: Any = None) -> Any:
    """Reads items; constants under differentiation.

    Args:
      records: the items.
      places: integers of any shape, counted through all leading axes of the records.
      wanted: which arrays, a pytree of the numbers that `fields` returns; None for whole items at
        `places` [B].

    Returns:
      The pytree of the arrays, [shape of places, shape of the array].
    """
    if wanted is None:
        return _read_whole(records, places)
    numbers, structure = jax.tree.flatten(wanted)
    trail = Trail(places)
    small = [number for number in numbers if not _is_separate(records.specs[number])]
    found = _read_small(records, small, places, trail)
    for number in numbers:
        if number not in found:
            found[number] = _read_large(records, number, places, trail)
    return jax.tree.unflatten(structure, [found[number] for number in numbers])


def take_rows(records: Records, take: Callable[[Any], Any]) -> Records:
    """Makes records from the rows of several.

    Args:
      records: arrays [k, ...].
      take: from an array [k, rows, ...] to an array [new rows, ...].
    """
    return jax.tree.map(take, records)


def _read_whole(records: Records, places: Array) -> Any:
    """Reads every array of the items, all small ones in one gather."""
    large = jax.tree.map(lambda array: gather_as_words(array, places), records.large)
    large = iter(bits.unwrap_short_floats(large))
    widths = tuple(filter(None, map(_width, records.specs)))
    small = iter(gather_and_cut(records.words, places, widths))
    arrays = [
        next(large) if _is_separate(spec) else words.unpack(next(small), spec)
        for spec in records.specs
    ]
    return jax.tree.unflatten(records.structure, arrays)


def _read_small(records: Records, numbers: list[int], places: Array, trail: Trail) -> dict:
    """Reads small arrays by their numbers, in one gather of the words that they lie in."""
    ends = np.cumsum([0, *map(_width, records.specs)]).tolist()
    first = min((ends[number] for number in numbers), default=0)
    last = max((ends[number + 1] for number in numbers), default=0)
    read = trail.read(_flat(records, records.words), places, Columns(first, last))

    def cut(number: int) -> Array:
        own = read[..., ends[number] - first : ends[number + 1] - first]
        return words.unpack(own, records.specs[number])

    return {number: cut(number) for number in numbers}


def _read_large(records: Records, number: int, places: Array, trail: Trail) -> Array:
    """Reads an array that is stored by itself."""
    before = sum(map(_is_separate, records.specs[:number]))
    (array,), structure = jax.tree.flatten(_flat(records, records.large[before]))
    read = jax.tree.unflatten(structure, [trail.read(array, places)])
    return bits.unwrap_short_floats(read)


def _pack(records: Records, items: Any) -> tuple[Array, tuple[Any, ...]]:
    """Returns items as `words` and `large` hold them; they have as many leading axes as these."""
    given = [jnp.asarray(array) for array in jax.tree.leaves(items)]
    leading = records.words.ndim - 1
    pairs = list(zip(given, records.specs, strict=True))
    small = [words.pack(array, leading) for array, spec in pairs if not _is_separate(spec)]
    none = jnp.zeros((*given[0].shape[:leading], 0), jnp.uint32)
    packed = jnp.concatenate(small, axis=-1) if small else none
    separate = tuple(array for array, spec in pairs if _is_separate(spec))
    return packed, bits.wrap_short_floats(separate)


def _flat(records: Records, array: Any) -> Any:
    """Reshapes an array, or `ShortFloats`, to one axis of places."""
    leading = records.words.ndim - 1
    count = math.prod(records.words.shape[:leading])
    return jax.tree.map(lambda array: array.reshape(count, *array.shape[leading:]), array)


def _is_grid(records: Records) -> bool:
    """Whether the places are [ring rows, num_envs], which are written row by row."""
    return records.words.ndim > 2


def _is_separate(spec: jax.ShapeDtypeStruct) -> bool:
    """Whether an array is stored by itself, since it is large or has no bytes to pack."""
    return not _width(spec)


def _width(spec: jax.ShapeDtypeStruct) -> int:
    """Returns how many words an array takes among the words of its item; 0 if it is separate."""
    size = spec.size * spec.dtype.itemsize
    packed = bits.has_bytes(spec.dtype) and size < limits.ANY_PACKED_ARRAY_BYTES
    return -(-size // 4) if packed else 0
