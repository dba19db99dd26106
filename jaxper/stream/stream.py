"""Steps of environments in lockstep, stored once in a ring of rows.

A ring row holds one step of every environment, so `slot = row * num_envs + env`, and the next step
of an environment is `num_envs` slots on.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxper.lowering.trail import Trail
from jaxper.storage import records
from jaxper.storage.records import Records
from jaxper.stream import checks
from jaxper.stream.stream_view import StreamView
from jaxper.stream.timestep import TimeStep


class Stream(NamedTuple):
    """The stored steps; `rows` is capacity / num_envs."""

    steps: Records  # [rows, num_envs], `TimeStep`s without their flags
    flags: Array  # uint8 [rows, num_envs], see `episode_flags`
    count: Any  # uint32 [num_envs], the view's count of the newest row; or ()
    view: Any  # the view that it was made under, without its discount; static, no array

    @property
    def capacity(self) -> int:
        """Number of slots."""
        return self.flags.size


def init(view: StreamView, item: Any, capacity: int, *, memory_kind: str | None = None) -> Stream:
    """Makes an empty stream of steps like `item`, a `TimeStep` of one environment."""
    step = without_flags(checks.check_time_step(item))
    shape = (capacity // view.num_envs, view.num_envs)
    return Stream(
        steps=records.init(step, *shape, memory_kind=memory_kind),
        flags=jnp.zeros(shape, jnp.uint8),
        count=view.init_count(),
        view=view.without_discount(),
    )


def without_flags(step: TimeStep) -> TimeStep:
    """Returns the step as it is stored: its two flags are kept in the byte of flags."""
    return step._replace(terminated=(), truncated=())


def item_spec(stream: Stream) -> TimeStep:
    """Returns the shapes and dtypes of the step that the stream was made for."""
    flag = jax.ShapeDtypeStruct((), jnp.bool_)
    return records.item_spec(stream.steps)._replace(terminated=flag, truncated=flag)


def read(stream: Stream, slots: Array, *fields: str) -> TimeStep:
    """Reads these fields of the steps in `slots`, uint32 of any shape; the others are ()."""
    step = records.fields(stream.steps)
    step = step._replace(**{name: () for name in step._fields if name not in fields})
    return records.read(stream.steps, slots, step)


def read_flags(stream: Stream, slots: Array) -> Array:
    """Reads the flags of the steps in `slots`, uint8 of their shape."""
    return Trail(slots).read(stream.flags.ravel(), slots)


def slots_ahead(stream: Stream, slots: Array, by: ArrayLike) -> Array:
    """Returns the slots of the same environments `by` steps later; |by| up to a whole ring."""
    rows, num_envs = stream.flags.shape
    return _wrap(slots.astype(jnp.uint32), jnp.asarray(by) * num_envs, rows * num_envs)


def rows_ahead(stream: Stream, rows: Array, by: ArrayLike) -> Array:
    """Returns the ring rows `by` rows later, or earlier if negative; |by| up to a whole ring."""
    return _wrap(rows, jnp.asarray(by), len(stream.flags))


def _wrap(places: Array, by: Array, length: int) -> Array:
    """Moves uint32 places of a ring of `length` on by int32 `by`, or back if it is negative."""
    ahead = places + jnp.where(by < 0, by + length, by).astype(jnp.uint32)
    return jnp.where(ahead < np.uint32(length), ahead, ahead - np.uint32(length))


def newest_row(stream: Stream, next_id: Array) -> Array:
    """Returns the ring row that was written last, uint32 []."""
    rows, num_envs = stream.flags.shape
    return rows_ahead(stream, next_id // np.uint32(num_envs) % np.uint32(rows), -1)


def take_rows(streams: Stream, take: Callable[[Array], Array]) -> Stream:
    """Makes a stream from the rows of several; the count is that of the last one.

    Args:
      streams: arrays [k, ...].
      take: from an array [k, rows, ...] to an array [new rows, ...].
    """
    count = jax.tree.map(lambda counts: counts[-1], streams.count)
    return jax.tree.map(take, streams._replace(count=()))._replace(count=count)
