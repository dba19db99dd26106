"""The state of one replay joined from several, or one part of a replay that is split.

Items are dealt out by age. A row of a stream holds one moment of all its environments, and the rows
that a draw reads have to stay together: streams are put one after the other, or split into ranges
of time which overlap by the rows that the starts at their ends read. Each of them ends with a cut.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering.scatter import DROPPED
from jaxper.replay.types import Replay, State, StateT
from jaxper.stream import episode_flags
from jaxper.transfer.rows import (
    RowSources,
    find_row,
    read_leaves_by_row,
    take_storage,
    take_tree,
)
from jaxper.views.view import View


class Plan(NamedTuple):
    """The new place of each old row, by its age; arrays [k, old rows]."""

    new_row: Array  # uint32, the new row that each takes; `DROPPED` if it is left behind
    keep_leaves: Array  # bool, whether starts there stay as they are; they die otherwise
    count: Array  # uint32 [], new rows


def reshard(old: Replay, new: Replay, states: StateT, part: Array, parts: int) -> StateT:
    """Builds the state of `new` that holds one of `parts` equal parts of several states.

    The oldest items are dropped if they do not fit. Ids begin anew, so those of earlier samples
    mean nothing any more.

    Args:
      old: the replay of the states, with the view of `new`; capacity and normalize may differ.
      new: the replay of the result.
      states: arrays [k, ...].
      part: int32 [], which part.
      parts: how many there are; 1 if k is above 1.
    """
    plan = _plan(old, new, states, part, parts)
    sources = _find_sources(old, new, states, plan)
    fill = plan.count * np.uint32(new.view.slots_per_row)
    state = states.merge_counters(part)._replace(
        next_id=fill,
        stored=fill.astype(jnp.int32),
        tree=take_tree(new, states, sources),
        storage=take_storage(new, states, sources),
    )
    return state if new.view.all_live else _cut_ends(new.view, state, sources)


def _plan(old: Replay, new: Replay, states: State, part: Array, parts: int) -> Plan:
    """Decides which of the old rows go where."""
    rows = new.capacity // new.view.slots_per_row
    if new.view.all_live:
        return _deal(_find_live(old, states), part, parts, rows)
    is_stored = _find_stored(old, states)
    if len(is_stored) == 1 and parts > 1:
        return _split(new.view, is_stored[0], part, parts, rows)
    return _join(new.view, is_stored, rows)


def _find_stored(old: Replay, states: State) -> Array:
    """Tells whether a row is stored, bool [k, old rows by age]."""
    width = old.view.slots_per_row
    age = np.arange(old.capacity // width, dtype=np.int32)
    return jnp.asarray(age[None] < (states.stored // width)[:, None])


def _find_live(old: Replay, states: State) -> Array:
    """Tells whether an item can be drawn, bool [k, old slots by age]."""
    is_stored = _find_stored(old, states)
    if states.tree is None:
        return is_stored
    leaves = read_leaves_by_row(states.tree, old.view)[..., 0]
    return is_stored & (jnp.take_along_axis(leaves, _old_rows(old, states), axis=1) > 0)


def _old_rows(old: Replay, states: State) -> Array:
    """Returns the row of each age, uint32 [k, old rows]."""
    age = jnp.arange(old.capacity // old.view.slots_per_row, dtype=jnp.uint32)
    return find_row(age[None], states.next_id[:, None], old.view, old.capacity)


def _rank(rows: Array) -> Array:
    """Counts how many of the rows, bool [k, ages], are newer than each, uint32 [k, ages].

    Rows of one age count in the order of their rings.
    """
    newest_first = rows.T.ravel()
    rank = jnp.cumsum(newest_first, dtype=jnp.uint32) - newest_first
    return rank.reshape(rows.T.shape).T


def _deal(live: Array, part: Array, parts: int, rows: int) -> Plan:
    """Deals items out in turns: every `parts`-th of the live ones, as many of the newest as fit."""
    rank = _rank(live)
    mine = live & (rank % np.uint32(parts) == part.astype(jnp.uint32))
    rank = rank // np.uint32(parts)
    kept = mine & (rank < rows)
    count = jnp.sum(kept, dtype=jnp.uint32)
    return Plan(jnp.where(kept, count - 1 - rank, DROPPED), kept, count)


def _join(view: View, is_stored: Array, rows: int) -> Plan:
    """Puts streams one after the other, without the oldest rows if they do not fit.

    If a stream lost rows, its `rows_before` oldest starts lack rows that a draw would read. So do
    those at its end whose next steps were still to come, unless the new stream goes on there.
    """
    kept = is_stored & (_rank(is_stored) < rows)
    counts = jnp.sum(kept, axis=1, keepdims=True, dtype=jnp.uint32)
    lost = counts < jnp.sum(is_stored, axis=1, keepdims=True, dtype=jnp.uint32)
    age = np.arange(is_stored.shape[1], dtype=np.uint32)[None]
    row = jnp.cumsum(counts, axis=0, dtype=jnp.uint32) - 1 - age
    lacking = lost & (age + np.uint32(view.rows_before) >= counts)
    goes_on = np.arange(len(is_stored))[:, None] == len(is_stored) - 1
    keep = ~lacking & (goes_on | (age >= view.rows_after))
    return Plan(jnp.where(kept, row, DROPPED), keep, jnp.sum(counts, dtype=jnp.uint32))


def _split(view: View, is_stored: Array, part: Array, parts: int, rows: int) -> Plan:
    """Takes one range of time of a stream, part 0 the oldest, and the rows that its starts read.

    The starts of ages [begin, end) are its own; they read `rows_after` newer rows and
    `rows_before` older ones.
    """
    total = jnp.sum(is_stored, dtype=jnp.int32)
    each = jnp.minimum(-(-total // parts), rows - view.rows_before - view.rows_after)
    newest = jnp.clip(total - (parts - 1) * each, each, rows - view.rows_before)
    # Parts of newer rows than this one.
    later = parts - 1 - part.astype(jnp.int32)
    begin = jnp.where(later > 0, jnp.minimum(newest + (later - 1) * each, total), 0)
    end = jnp.minimum(newest + later * each, total)
    first, last = (
        jnp.maximum(begin - view.rows_after, 0),
        jnp.minimum(end + view.rows_before, total),
    )
    age = jnp.arange(len(is_stored), dtype=jnp.int32)
    taken = (age >= first) & (age < last) & (begin < end)
    count = jnp.sum(taken, dtype=jnp.uint32)
    row = jnp.where(taken, (last - 1 - age).astype(jnp.uint32), DROPPED)
    return Plan(row[None], ((age >= begin) & (age < end))[None], count)


def _find_sources(old: Replay, new: Replay, states: State, plan: Plan) -> RowSources:
    """Inverts the plan: finds the old row of each new one."""
    rows = new.capacity // new.view.slots_per_row
    ring = np.arange(len(plan.new_row), dtype=np.uint32)[:, None]
    age = np.arange(plan.new_row.shape[1], dtype=np.uint32)

    def invert(values: Any, empty: Any) -> Array:
        values = jnp.broadcast_to(values, plan.new_row.shape)
        return jnp.full(rows, empty).at[plan.new_row].set(values, mode="drop")

    return RowSources(
        ring=invert(ring, DROPPED),
        row=invert(_old_rows(old, states), DROPPED),
        age=invert(age, DROPPED),
        keep_leaves=invert(plan.keep_leaves, False),
    )


def _cut_ends(view: View, state: StateT, sources: RowSources) -> StateT:
    """Cuts the end of each stream, and keeps starts that died from coming back to life.

    A start whose next steps were stored and that was dead has missed its time, but its flags do not
    say so: they are read again if fewer than `rows_after` rows follow it now.
    """
    assert state.tree is not None
    following = jnp.append(sources.ring, DROPPED)[1:]
    end = (sources.ring != following) & (sources.ring != DROPPED)
    alive = read_leaves_by_row(jax.tree.map(lambda array: array[None], state.tree), view)[0] > 0
    pending = (sources.age < view.rows_after) & sources.keep_leaves
    flags = state.storage.flags
    flags = jnp.where(end[:, None], episode_flags.cut_after(flags), flags)
    flags = jnp.where(alive | pending[:, None], flags, flags & ~episode_flags.START)
    return state._replace(storage=state.storage._replace(flags=flags))
