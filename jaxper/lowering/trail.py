"""Values that follow from each other, step by step, each step computed once."""

from jax import Array

from jaxper.lowering import limits
from jaxper.lowering.gather import Columns, gather_in_turn, prefetch
from jaxper.lowering.once import materialize
from jaxper.lowering.order import settle


class Trail:
    """A computation of several steps, none of which is computed again by a later one.

    It is Python state while tracing, like an iterator over random keys; the program holds nothing
    of it but the buffers in which the values of a CPU take turns.

    Args:
      start: an array that is known no earlier than the first step can be computed.
      buffers: 1, or 2 if each step still reads the values of the step before it.
    """

    def __init__(self, start: Array, buffers: int = 1):
        self._buffers = [start] * buffers
        self._source_size = 0

    def step(self, *values: Array, source_size: int | None = None) -> tuple[Array, ...]:
        """Returns one array [B, ...], or two of 32-bit numbers [B], computed once.

        `source_size` is the size of the array that they were gathered from, if that is not the
        level at which the trail arrived last.
        """
        size = self._source_size if source_size is None else source_size
        values, buffer = materialize(self._buffers.pop(0), *values, source_size=size)
        self._buffers.append(buffer)
        return values

    def read(self, array: Array, places: Array, columns: Columns | None = None) -> Array:
        """Reads `array[places]` after the reads before it; a constant under differentiation."""
        rows, buffer = gather_in_turn(self._buffers.pop(0), array, places, columns)
        self._buffers.append(buffer)
        return rows

    def arrive(self, level: Array, rows: Array, *others: Array) -> tuple[Array, ...]:
        """Returns row numbers, and arrays beside them, complete before `level` is read there."""
        rows, beside, *rest = settle(rows, *others)
        rows, beside = self.step(rows, beside)
        self._source_size = level.size
        if level.size >= limits.CPU_OUT_OF_CACHE_LEAVES:
            rows, beside = self.step(prefetch(rows, level, columns=(0,)), beside)
        return rows, beside, *rest

    def finish(self, *values: Array) -> tuple[Array, ...]:
        """Returns the values that the last step leads to, complete before anything uses them."""
        return self.step(*settle(*values))
