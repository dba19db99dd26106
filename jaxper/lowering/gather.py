"""Reads at places all over an array, as each platform does them best."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_batching import custom_vmap

from jaxper.lowering import bits, limits, words
from jaxper.lowering.once import materialize
from jaxper.lowering.order import vary_like


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Columns:
    """Columns of an array [N, W], from `start` to the one before `stop`; static under tracing."""

    start: int
    stop: int


def gather_rows(array: Array, places: Array, columns: Columns | None = None) -> Array:
    """Reads `array[places]`, all in range; if given, only these columns of an array [N, W]."""
    if columns is None or columns == Columns(0, array.shape[-1]):
        return array.at[places].get(mode="promise_in_bounds")
    at = jnp.stack([places, jnp.full_like(places, columns.start)], axis=-1)
    numbers = jax.lax.GatherDimensionNumbers((places.ndim,), (0,), (0, 1))
    sizes = (1, columns.stop - columns.start)
    return jax.lax.gather(array, at, numbers, sizes, mode="promise_in_bounds")


def gather_as_words(array: Array, places: Array) -> Array:
    """Reads rows of an array of large rows, such as images; a constant under differentiation.

    GPU: a thread moves four numbers at a time, so it moves four times as many bytes if they are
    words. XLA takes an array of bytes for one of words without a copy; on a CPU it does not.
    """
    array = jax.lax.stop_gradient(array)
    spec = jax.ShapeDtypeStruct(array.shape[1:], array.dtype)
    if not words.fills_words(spec):
        return gather_rows(array, places)

    def on_cuda(array: Array, places: Array) -> Array:
        return words.unpack(gather_rows(words.pack(array, 1), places), spec)

    return jax.lax.platform_dependent(array, places, cuda=on_cuda, default=gather_rows)


def gather_and_cut(array: Array, places: Array, widths: tuple[int, ...]) -> list[Array]:
    """Reads rows of uint32 [N, W] and cuts them into parts: uint32 [B, width] each.

    One gather is one operation. CPU: it would copy each word twice, so the parts of a large batch
    are gathered one by one; for a small batch, starting and joining XLA's threads per gather costs
    more than the gather, so one thread reads it whole.
    """
    starts = np.cumsum((0, *widths))[:-1].tolist()

    def cut(rows: Array) -> list[Array]:
        return [rows[:, a : a + width] for a, width in zip(starts, widths, strict=True)]

    def at_once(array: Array, places: Array) -> list[Array]:
        return cut(gather_rows(array, places))

    def on_one_thread(array: Array, places: Array) -> list[Array]:
        at = places.astype(jnp.uint32)
        if array.size >= limits.CPU_OUT_OF_CACHE_WORDS:
            lines = range(0, array.shape[1], limits.CPU_CACHE_LINE_WORDS)
            at = prefetch(at, array, lines)
            (at,), _ = materialize(places, at, source_size=array.size)
        rows = gather_rows(array, at)
        (rows,), _ = materialize(places, rows, source_size=array.size)
        return cut(rows)

    def part_by_part(array: Array, places: Array) -> list[Array]:
        spans = [Columns(a, a + width) for a, width in zip(starts, widths, strict=True)]
        return [gather_rows(array, places, span) for span in spans]

    if not sum(widths):
        return at_once(array, places)
    few_words = len(places) * sum(widths) <= limits.CPU_ONE_THREAD_ITEM_WORDS
    few = len(places) <= limits.CPU_ONE_THREAD_ROWS and few_words
    on_cpu = on_one_thread if few else part_by_part
    return jax.lax.platform_dependent(array, places, cpu=on_cpu, default=at_once)


def gather_in_turn(
    scratch: Array, array: Array, places: Array, columns: Columns | None = None
) -> tuple[Array, Array]:
    """Does what `gather_rows` does; a CPU reads a small batch on one thread.

    A constant under differentiation, since numbers that move as bits have no gradient.

    Args:
      scratch: see `materialize`.
      array: what is read.
      places: in range, of any shape.
      columns: see `gather_rows`.

    Returns:
      The rows, and the scratch for the next read.
    """
    array = jax.lax.stop_gradient(array)
    rows = gather_rows(array, places, columns)
    few_words = rows.nbytes <= 4 * limits.CPU_ONE_THREAD_STREAM_WORDS
    few = len(rows) <= limits.CPU_ONE_THREAD_ROWS and few_words
    large = array.nbytes > 4 * limits.CPU_XLA_LARGE_ARRAY_NUMBERS
    if few and large and bits.has_bytes(array.dtype):
        return _gather_on_one_thread(scratch, array, places, columns)
    return rows, scratch


@custom_vmap
def _gather_on_one_thread(
    scratch: Array, array: Array, places: Array, columns: Columns | None
) -> tuple[Array, Array]:
    rows = gather_rows(array, places, columns)
    (rows,), scratch = materialize(scratch, rows, source_size=array.size)
    return rows, scratch


@_gather_on_one_thread.def_vmap
def _gather_for_replays(
    replays: int,
    batched: list[bool],
    scratch: Array,
    array: Array,
    places: Array,
    columns: Columns | None,
) -> Any:
    """Reads on all threads under `vmap` over several replays, for which that pays."""
    if replays == 1:
        one = [x[0] if b else x for x, b in zip((scratch, array, places), batched[:3], strict=True)]
        # The scratch of the one replay has no axis of replays, so the one that was given goes on.
        rows, _ = _gather_on_one_thread(*one, columns)
        return (rows[None], scratch), (True, batched[0])
    axes = [0 if is_batched else None for is_batched in batched[1:3]]
    rows = jax.vmap(lambda array, places: gather_rows(array, places, columns), axes)(array, places)
    return (rows, scratch), (True, batched[0])


def gather_columns(array: Array, rows: Array) -> list[Array]:
    """Reads the rows `rows`, uint32 [B], of an array [N, W] as W columns [B], each by itself.

    A row out of range counts as the last one. XLA fuses a column by column gather with whatever is
    computed from it. GPU: indexed by row and column it would, under `vmap`, compute the indices of
    each column in an operation of its own, so there the places of the flat array are the index.
    CPU: it would split each flat index again, so there row and column are.
    """
    return jax.lax.platform_dependent(array, rows, cpu=_by_row_and_column, default=_by_flat_place)


def gather_whole_rows(array: Array, rows: Array) -> list[Array]:
    """Does what `gather_columns` does; a GPU gathers whole rows.

    GPU: these are fewer operations if nothing is chosen among the columns.
    """
    return jax.lax.platform_dependent(array, rows, cpu=_by_row_and_column, default=_by_row)


def _by_row_and_column(array: Array, rows: Array) -> list[Array]:
    return [array.at[rows, k].get(mode="clip") for k in range(array.shape[1])]


def _by_flat_place(array: Array, rows: Array) -> list[Array]:
    height, width = array.shape
    first = jnp.minimum(rows, np.uint32(height - 1)) * np.uint32(width)
    return [gather_rows(array.ravel(), first + np.uint32(k)) for k in range(width)]


def _by_row(array: Array, rows: Array) -> list[Array]:
    whole = array.at[rows].get(mode="clip")
    return [whole[:, k] for k in range(array.shape[1])]


def prefetch(places: Array, array: Array, columns: Sequence[int]) -> Array:
    """Returns `places` unchanged, after a CPU has brought these rows of an array into its cache.

    CPU: whatever is computed from a row keeps the processor from reaching the next one, so it waits
    for memory row by row. A loop that only reads waits for many rows at a time; the caller makes it
    a loop of its own by passing the result through `materialize`. Other platforms: no effect.

    Args:
      places: uint32 [B], below 2^31.
      array: 32-bit numbers [N, W].
      columns: one in each cache line that is wanted.
    """

    def on_cpu(places: Array, array: Array) -> Array:
        rows = gather_rows(array, places)
        # All reads come before the first minimum: between them each would wait for the one before.
        columns_read = [rows[:, column] for column in columns]
        for column in columns_read:
            # No place is above this, but the compiler does not see that.
            at_least = bits.as_bits(column) | np.uint32(2**31)
            places = jnp.minimum(places, at_least)
        return places

    places = vary_like(places, array)
    return jax.lax.platform_dependent(places, array, cpu=on_cpu, default=lambda places, _: places)
