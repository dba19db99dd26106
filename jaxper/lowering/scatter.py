"""Writes of rows and of runs into a large array, in place."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering import words

# An index out of range of any array: a write to it is dropped.
DROPPED = np.uint32(2**32 - 1)


def scatter_rows(array: Array, places: Array, rows: Array) -> Array:
    """Returns `array` with rows [B, ...] at `places`, uint32 [B], no place twice but `DROPPED`."""
    places, rows = pad_single_row(places, rows)
    return array.at[places].set(rows, mode="drop", unique_indices=True)


def scatter_rows_as_words(array: Array, places: Array, rows: Array) -> Array:
    """Does what `scatter_rows` does; a GPU writes rows of bytes as words: see `gather_as_words`."""
    spec = jax.ShapeDtypeStruct(array.shape[1:], array.dtype)
    if not words.fills_words(spec):
        return scatter_rows(array, places, rows)

    def on_cuda(array: Array, places: Array, rows: Array) -> Array:
        written = scatter_rows(words.pack(array, 1), places, words.pack(rows, 1))
        return words.unpack(written, spec)

    return jax.lax.platform_dependent(array, places, rows, cuda=on_cuda, default=scatter_rows)


def gather_blocks(array: Array, first: Array, width: int) -> Array:
    """Reads runs of `width` numbers of an array [N] that begin at `first`, uint32 [W]: [W, width].

    A run that begins out of range counts as the last one of the array.
    """
    numbers = jax.lax.GatherDimensionNumbers((1,), (), (0,))
    return jax.lax.gather(array, first[:, None], numbers, (width,), mode="clip")


def scatter_blocks(array: Array, first: Array, values: Array) -> Array:
    """Returns an array [N] with `values` [W, width] in runs that begin at `first`; W is above 1."""
    # The end of a dropped run must not wrap around into range.
    first = jnp.minimum(first, DROPPED - np.uint32(values.shape[1]))
    numbers = jax.lax.ScatterDimensionNumbers((1,), (), (0,))
    mode = jax.lax.GatherScatterMode.FILL_OR_DROP
    return jax.lax.scatter(array, first[:, None], values, numbers, unique_indices=True, mode=mode)


def pad_single_row(places: Array, rows: Array) -> tuple[Array, Array]:
    """Adds a second row that is dropped to a write of one row; uint32 [B] and [B, ...].

    XLA turns a scatter of one row into an update of a slice, and fuses the next read of the array
    with that update, so that it reads the array from before it: it copies the array first.
    """
    if len(places) != 1:
        return places, rows
    return jnp.append(places, DROPPED), jnp.concatenate([rows, rows])
