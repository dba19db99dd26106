"""Steps of environments in lockstep, stored once in a ring of rows, and which of them are starts.

A row holds one step of every environment, so `slot = row * num_envs + env`, and the next step of
an environment stands one row on. A start that must not be drawn has a leaf of 0 in the tree: what
a write makes invalid it kills, and what it completes it revives, a few rows around the new ones.

For the view's own part a stream asks it: `span` rows after a start are read with it, `history`
rows before it; `starts` says which new rows may be starts, `may_start` whether they still may.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require
from jaxper.checks.items import check_rows
from jaxper.lowering import gather as _reads
from jaxper.lowering import in_place as _xla
from jaxper.storage import records, ring
from jaxper.storage.records import Records
from jaxper.stream import checks
from jaxper.stream import episode_flags as flags
from jaxper.stream.timestep import TimeStep
from jaxper.tree import levels

if TYPE_CHECKING:
    from jaxper.views.sequences import Sequences
    from jaxper.views.transitions import Transitions


class Stream(NamedTuple):
    """What is stored of the steps; `rows` is capacity / num_envs."""

    steps: Records  # [rows, num_envs] of `TimeStep`s without their flags
    flags: Array  # uint8 [rows, num_envs], see `flags`
    count: Any  # uint32 [num_envs], where periods are counted: the count of the newest row; or ()
    view: Any  # what it was made under, see `kept`; part of the structure, no array


def init(view: Transitions | Sequences, item: Any, capacity: int) -> Stream:
    """An empty stream of steps like `item`, a `TimeStep`."""
    item = checks.check_time_step(item)
    shape = (capacity // view.num_envs, view.num_envs)
    return Stream(
        steps=records.init(_without_flags(item), *shape),
        flags=jnp.zeros(shape, jnp.uint8),
        count=view.first_count(),
        view=kept(view),
    )


def _without_flags(step: TimeStep) -> TimeStep:
    return step._replace(terminated=(), truncated=())


def kept(view: Any) -> Any:
    """A view as a stream keeps it: of no particular discount, which is an array in the state."""
    return dataclasses.replace(view, discount=0) if hasattr(view, "discount") else view


def check(
    stream: Stream, steps: Any, priorities: Any, mask: ArrayLike | None
) -> tuple[None, Array | None]:
    """Refuses what cannot be added; gives what `add` has besides: no priorities, and the mask."""
    if priorities is not None:
        raise ValueError(
            "add takes no priorities for a stream, whose new starts get max_priority; leave them "
            "out, and write update_priorities(state, sample.ids, priorities) once they were drawn"
        )
    if not isinstance(steps, TimeStep):
        raise ValueError(
            f"a stream stores steps, got {type(steps).__name__}; write jaxper.TimeStep("
            f"observation, action, reward, terminated, truncated) with leaves [T, num_envs, ...]"
        )
    flag = jax.ShapeDtypeStruct(stream.flags.shape, jnp.bool_)
    expected = records.expected(stream.steps)._replace(terminated=flag, truncated=flag)
    rows = check_rows("steps", steps, expected, "T")
    most, num_envs = stream.flags.shape
    if rows > most:
        raise ValueError(
            f"one add takes at most capacity = {most * num_envs} steps, "
            f"got T * num_envs = {rows} * {num_envs}; add them in parts of up to {most} rows"
        )
    return None, require.mask(mask, (rows, num_envs))


def read(stream: Stream, slots: Array, *fields: str) -> TimeStep:
    """These fields of the steps in `slots`, uint32 of any shape; the others are ()."""
    step = records.numbered(stream.steps)
    step = step._replace(**{name: () for name in step._fields if name not in fields})
    return records.read(stream.steps, step, slots)


def flags_of(stream: Stream, slots: Array) -> Array:
    """The flags of the steps in `slots`, uint8 of their shape."""
    bits, _ = _reads.read(slots, stream.flags.ravel(), slots)
    return bits


def later(stream: Stream, slots: Array, by: ArrayLike) -> Array:
    """The slots of the same environments `by` steps later, uint32; |by| up to a whole ring."""
    rows, num_envs = stream.flags.shape
    return _around(slots.astype(jnp.uint32), jnp.asarray(by) * num_envs, rows * num_envs)


def moved(stream: Stream, rows: Array, by: ArrayLike) -> Array:
    """The rows that stand `by` rows later, or earlier where negative; |by| up to a whole ring."""
    return _around(rows, jnp.asarray(by), len(stream.flags))


def _around(places: Array, by: Array, total: int) -> Array:
    """Places of a ring of `total`, uint32, moved on by `by`, int32, or back where negative."""
    ahead = places + jnp.where(by < 0, by + total, by).astype(jnp.uint32)
    return jnp.where(ahead < np.uint32(total), ahead, ahead - np.uint32(total))


def newest_row(stream: Stream, next_id: Array) -> Array:
    """The row that was written last, uint32 []."""
    rows, num_envs = stream.flags.shape
    return moved(stream, next_id // np.uint32(num_envs) % np.uint32(rows), -1)


def write(
    view: Transitions | Sequences,
    stream: Stream,
    next_id: Array,
    stored: Array,
    steps: TimeStep,
    mask: Array | None,
) -> tuple[Stream, ring.Changes]:
    """The stream with `steps`, leaves [T, num_envs, ...], after the newest row."""
    newest = newest_row(stream, next_id)
    prior = jnp.where(stored > 0, stream.flags[newest], flags.LAST)
    prior, _ = _xla.computed_once(newest, prior)  # once, before it is written over
    bits = flags.of_rows(prior, steps.terminated, steps.truncated, view.autoreset)
    starts, count = view.starts(bits, stream.count)
    starts = starts if mask is None else starts & mask
    rows = moved(stream, newest, np.arange(1, len(bits) + 1))

    bits |= flags.mark(starts, flags.START)
    new = records.stored(stream.steps, _without_flags(steps))
    words, large = ring.write((stream.steps.words, stream.steps.large), rows, new)
    stream = stream._replace(
        steps=dataclasses.replace(stream.steps, words=words, large=large),
        flags=ring.write(stream.flags, rows, bits),
        count=count,
    )
    return stream, _changes(view, stream, moved(stream, newest, len(bits)), stored, bits)


def _changes(
    view: Transitions | Sequences, stream: Stream, newest: Array, stored: Array, new: Array
) -> ring.Changes:
    """Which starts died or became live when rows of the `new` flags, up to `newest`, were written.

    Rows are told by their age, 0 for the newest. Those of age `span` to `span + added - 1` are
    complete now and were not before; where none is stored at that age, its flags are 0 and it is no
    start. Once a row was overwritten, the `history` oldest rows lack what a draw would read.
    """
    total, num_envs = stream.flags.shape
    added = len(new)
    newly = np.arange(added, dtype=np.int32)
    oldest = np.arange(total - view.history, total, dtype=np.int32)
    age = np.unique(np.concatenate([newly, newly + view.span, oldest]))
    age = age[age < total]
    complete = (age >= view.span) & (age < view.span + added)
    oldest = age >= total - view.history

    overwriting = stored // num_envs > total - added
    rows = moved(stream, newest, -age)
    bits, _ = _reads.read(rows, stream.flags, rows)
    written = (age < added) | complete | (oldest & overwriting)
    live = complete & ~(oldest & overwriting)
    newest = _xla.known_late(newest, jnp.sum(bits[:1, :1]).astype(jnp.float32))  # not ready early
    return ring.Changes(
        count=jnp.uint32(added * num_envs),
        slots=jnp.where(written, rows * np.uint32(num_envs), ring.NO_SLOT),
        live=view.may_start(bits) & live[:, None],
        groups=_groups(stream, newest, age),
    )


def _groups(stream: Stream, newest: Array, age: np.ndarray) -> Array:
    """The groups of leaves that the rows of these ages are in, uint32 [G]."""
    num_envs, gaps = stream.flags.shape[1], np.flatnonzero(np.diff(age) > 1) + 1
    groups = []
    for run in np.split(age, gaps):
        first = moved(stream, newest, -run.max(initial=0)) * np.uint32(num_envs)
        groups.append(levels.groups_of(first, len(run) * num_envs, stream.flags.size))
    return jnp.concatenate(groups)


def cut(state: Any) -> Any:
    """Breaks the stream after its newest row, which the next one then does not continue.

    For when the environments were reset by hand, or when a run resumes with fresh ones. The newest
    step of each environment becomes a cut step (truncated, with no next observation), whatever
    `autoreset` is, unless it terminated or is an ignored row. The next row begins an episode.

    Args:
      state: of a replay whose view is `Transitions` or `Sequences`.

    Returns:
      The state with the break.

    Raises:
      ValueError: the state holds no stream, or is that of many replays.

    >>> replay = UniformReplay(8, view=Transitions(num_envs=1))
    >>> step = TimeStep(jnp.zeros(2), jnp.int32(0), jnp.float32(0), jnp.bool_(0), jnp.bool_(0))
    >>> steps = jax.tree.map(lambda leaf: leaf[None, None], step)
    >>> state = replay.add(replay.init(step), steps)
    >>> int(replay.size(replay.add(state, steps))), int(replay.size(replay.add(cut(state), steps)))
    (1, 0)
    """
    stream = getattr(state, "storage", None)
    if not isinstance(stream, Stream):
        raise ValueError("only a stream can be cut: a replay with view=Transitions(...) or similar")
    if state.next_id.ndim:
        raise ValueError(
            f"cut takes the state of one replay, got leading axes {state.next_id.shape}; "
            f"write jax.vmap(jaxper.cut)(state)"
        )
    row = newest_row(stream, state.next_id)
    bits = jnp.where(state.stored > 0, flags.broken(stream.flags[row]), stream.flags[row])
    return state._replace(storage=stream._replace(flags=stream.flags.at[row].set(bits)))
