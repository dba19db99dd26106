"""New steps in a stream, and which starts they complete and which they end.

A start that must not be drawn has a leaf of 0 in the tree. An add changes the leaves of a few ring
rows: the new ones, those whose next steps are now stored, and those whose earlier steps are not
stored any more.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import items, require
from jaxper.lowering.once import compute_once
from jaxper.lowering.order import delay
from jaxper.lowering.scatter import DROPPED, scatter_rows
from jaxper.lowering.trail import Trail
from jaxper.storage import records
from jaxper.storage.ring import Changes, Run
from jaxper.stream import episode_flags
from jaxper.stream.checks import check_is_step
from jaxper.stream.stream import Stream, newest_row, rows_ahead, without_flags
from jaxper.stream.stream_view import StreamView
from jaxper.stream.timestep import TimeStep


def check(
    stream: Stream, steps: Any, priorities: Any, mask: ArrayLike | None
) -> tuple[None, Array | None]:
    """Refuses steps that cannot be added.

    Returns:
      No priorities, and the mask, bool [T, num_envs] or None.
    """
    if priorities is not None:
        raise ValueError(
            "add takes no priorities for a stream, whose new starts get max_priority; leave them "
            "out, and write update_priorities(state, sample.ids, priorities) once they were drawn"
        )
    check_is_step(steps, " with arrays [T, num_envs, ...]")
    flag = jax.ShapeDtypeStruct(stream.flags.shape, jnp.bool_)
    expected = records.batch_spec(stream.steps)._replace(terminated=flag, truncated=flag)
    rows = items.check_rows("steps", steps, expected, "T")
    most, num_envs = stream.flags.shape
    if rows > most:
        raise ValueError(
            f"one add takes at most capacity = {most * num_envs} steps, "
            f"got T * num_envs = {rows} * {num_envs}; add them in parts of up to {most} rows"
        )
    return None, require.mask(mask, (rows, num_envs))


def append(
    view: StreamView,
    stream: Stream,
    next_id: Array,
    fill: Array,
    steps: TimeStep,
    mask: Array | None,
) -> tuple[Stream, Changes]:
    """Stores `steps`, arrays [T, num_envs, ...], after the newest ring row."""
    newest = newest_row(stream, next_id)
    prior = jnp.where(fill > 0, stream.flags[newest], episode_flags.LAST)
    prior = compute_once(prior, after=newest)
    flags = episode_flags.from_ends(prior, steps.terminated, steps.truncated, view.autoreset)
    starts, count = view.mark_starts(flags, stream.count)
    starts = starts if mask is None else starts & mask
    rows = rows_ahead(stream, newest, np.arange(1, len(flags) + 1))

    flags |= episode_flags.where(starts, episode_flags.START)
    stream = stream._replace(
        steps=records.write(stream.steps, rows, without_flags(steps)),
        flags=scatter_rows(stream.flags, rows, flags),
        count=count,
    )
    newest = rows_ahead(stream, newest, len(flags))
    return stream, _find_changes(view, stream, newest, fill, len(flags))


def _find_changes(
    view: StreamView, stream: Stream, newest: Array, fill: Array, added: int
) -> Changes:
    """Finds the starts that died or became live when `added` rows up to `newest` were written.

    Rows are named by their age, 0 for the newest. Those of age `rows_after` to
    `rows_after + added - 1` are complete now and were not before; if none is stored at that age,
    its flags are 0 and it is no start. Once a row was overwritten, the `rows_before` oldest rows
    lack something that a draw would read.
    """
    ring_rows, num_envs = stream.flags.shape
    newly = np.arange(added, dtype=np.int32)
    oldest = np.arange(ring_rows - view.rows_before, ring_rows, dtype=np.int32)
    age = np.unique(np.concatenate([newly, newly + view.rows_after, oldest]))
    age = age[age < ring_rows]
    complete = (age >= view.rows_after) & (age < view.rows_after + added)
    oldest = age >= ring_rows - view.rows_before

    overwriting = fill // num_envs > ring_rows - added
    rows = rows_ahead(stream, newest, -age)
    flags = Trail(rows).read(stream.flags, rows)
    written = (age < added) | complete | (oldest & overwriting)
    live = complete & ~(oldest & overwriting)
    newest = delay(newest, until=jnp.sum(flags[:1, :1]).astype(jnp.float32))
    return Changes(
        added=jnp.uint32(added * num_envs),
        blocks=jnp.where(written, rows * np.uint32(num_envs), DROPPED),
        live=view.can_start(flags) & live[:, None],
        runs=_find_runs(stream, newest, age),
    )


def _find_runs(stream: Stream, newest: Array, age: np.ndarray) -> tuple[Run, ...]:
    """Joins the rows of these ages, in ascending order, to runs of slots."""
    num_envs, gaps = stream.flags.shape[1], np.flatnonzero(np.diff(age) > 1) + 1
    runs = []
    for ages in np.split(age, gaps):
        first = rows_ahead(stream, newest, -ages.max(initial=0)) * np.uint32(num_envs)
        runs.append(Run(first, len(ages) * num_envs))
    return tuple(runs)
