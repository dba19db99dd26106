"""Reads at places all over an array, as each backend does them best."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.custom_batching import custom_vmap

from jaxper.lowering import bits as _bits
from jaxper.lowering import in_place as _xla
from jaxper.lowering.in_place import computed_once, varying_as

FEW_WORDS = 2**14  # of a batch: so few one thread reads as fast as two


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Columns:
    """Columns of an array, from `start` to the one before `stop`; nothing to be traced."""

    start: int
    stop: int


def read(
    scratch: Array, array: Array, places: Array, columns: Columns | None = None
) -> tuple[Array, Array]:
    """What `gathered` gives; of few words by one thread on a CPU. And the next scratch.

    To a gradient it is a constant, since numbers that move as bits have none.
    """
    array = jax.lax.stop_gradient(array)
    values = gathered(array, places, columns)
    few = len(values) <= _xla.MOST_ON_ONE_THREAD and values.nbytes <= 4 * FEW_WORDS
    if few and array.nbytes > 4 * _xla.LARGE and _bits.has_bytes(array.dtype):
        return _on_one_thread(scratch, array, places, columns)
    return values, scratch


def gathered(array: Array, places: Array, columns: Columns | None = None) -> Array:
    """`array[places]`, all in range; if told so, only these columns of an array [N, W]."""
    if columns is None or columns == Columns(0, array.shape[-1]):
        return array.at[places].get(mode="promise_in_bounds")
    at = jnp.stack([places, jnp.full_like(places, columns.start)], axis=-1)
    numbers = jax.lax.GatherDimensionNumbers((places.ndim,), (0,), (0, 1))
    sizes = (1, columns.stop - columns.start)
    return jax.lax.gather(array, at, numbers, sizes, mode="promise_in_bounds")


@custom_vmap
def _on_one_thread(
    scratch: Array, array: Array, places: Array, columns: Columns | None
) -> tuple[Array, Array]:
    values, scratch = computed_once(scratch, gathered(array, places, columns), reads=array.size)
    return values, scratch


@_on_one_thread.def_vmap
def _side_by_side(
    replays: int,
    batched: list[Any],
    scratch: Array,
    array: Array,
    places: Array,
    columns: Columns | None,
) -> Any:
    """Replays side by side are work enough for two threads; one is not."""
    if replays == 1:
        one = [x[0] if b else x for x, b in zip((scratch, array, places), batched[:3], strict=True)]
        values, _ = _on_one_thread(*one, columns)  # its scratch has no axis of replays
        return (values[None], scratch), (True, batched[0])
    axes = [0 if is_batched else None for is_batched in batched[1:3]]
    values = jax.vmap(lambda array, places: gathered(array, places, columns), axes)(array, places)
    return (values, scratch), (True, batched[0])


def touched(places: Array, array: Array, columns: Sequence[int]) -> Array:
    """Row numbers of an array, once a CPU has these rows in its cache; elsewhere nothing.

    What is made of a row keeps the processor from coming to the next one, so it waits for memory
    row by row. A loop that only reads waits for many rows at a time. The loop is one of its own
    where the result is `computed_once`.

    Args:
      places: uint32 [B], below 2^31.
      array: of 32-bit numbers, [rows, W].
      columns: one in each cache line that is wanted.
    """

    def read(places: Array, array: Array) -> Array:
        rows = gathered(array, places)
        words = [rows[:, column] for column in columns]
        for word in words:  # not between the reads: then each would wait for the one before
            at_least = _bits.of(word) | np.uint32(2**31)
            places = jnp.minimum(places, at_least)  # no compiler sees through it
        return places

    places = varying_as(places, array)
    return jax.lax.platform_dependent(places, array, cpu=read, default=lambda places, _: places)
