"""One replay's state from those of several, or its part of one that is split into several.

Items are dealt out by age. A row of a stream holds one moment of all its environments, and what a
draw reads has to stay together: streams are put one after the other, or split into ranges of time
which overlap by what the starts at their ends read. Each of them ends with a cut.
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.replay.proportional import PrioritizedState, saturating_add
from jaxper.storage import ring
from jaxper.stream import episode_flags as flags
from jaxper.stream.stream import Stream
from jaxper.transfer import rows as moves

if TYPE_CHECKING:
    from jaxper.transfer.rows import Replay, State


class Plan(NamedTuple):
    """What becomes of the old rows, by their age; leaves [k, old rows]."""

    row: Array  # uint32, the new row that each takes; `NO_SLOT` where it is left behind
    keep: Array  # bool, whether starts there stay as they are; else they are dead for good
    count: Array  # uint32 [], new rows


def resharded(old: Replay, new: Replay, states: State, part: Array, parts: int) -> State:
    """The state of `new` that holds one of `parts` equal parts of what the `states` hold.

    The oldest is dropped where it does not fit. Ids begin anew, so those of earlier samples mean
    nothing any more.

    Args:
      old: the replay of the states; it differs in nothing but the capacity.
      new: the replay of the result.
      states: leaves [k, ...].
      part: int32 [], which part.
      parts: how many there are; 1 where k is above 1.
    """
    plan = _plan(old, new, states, part, parts)
    origins = _origins(old, new, states, plan)
    stored = plan.count * np.uint32(moves.width(new.view))
    state = _counters(states, part)._replace(
        next_id=stored,
        stored=stored.astype(jnp.int32),
        tree=moves.tree(new, states, origins),
        storage=moves.storage(states, origins),
    )
    return _with_cuts(new.view, state, origins) if isinstance(state.storage, Stream) else state


def _plan(old: Replay, new: Replay, states: State, part: Array, parts: int) -> Plan:
    """Which of the old rows go where."""
    rows = new.capacity // moves.width(new.view)
    if not isinstance(states.storage, Stream):
        return _dealt(_live(old, states), part, parts, rows)
    stored = _stored(old, states)
    if len(stored) == 1 and parts > 1:
        return _split(new.view, stored[0], part, parts, rows)
    return _joined(new.view, stored, rows)


def _stored(old: Replay, states: State) -> Array:
    """Whether a row is stored, bool [k, old rows by age]."""
    width = moves.width(old.view)
    age = np.arange(old.capacity // width, dtype=np.int32)
    return age[None] < (states.stored // width)[:, None]


def _live(old: Replay, states: State) -> Array:
    """Whether an item can be drawn, bool [k, old slots by age]."""
    stored = _stored(old, states)
    if states.tree == ():
        return stored
    leaves = moves.leaves_of(states.tree, old.view)[..., 0]
    return stored & (jnp.take_along_axis(leaves, _old_rows(old, states), axis=1) > 0)


def _old_rows(old: Replay, states: State) -> Array:
    """The row of each age, uint32 [k, old rows]."""
    age = jnp.arange(old.capacity // moves.width(old.view), dtype=jnp.uint32)
    return moves.row_of_age(age[None], states.next_id[:, None], old.view, old.capacity)


def _rank(rows: Array) -> Array:
    """How many of the rows, bool [k, ages], are newer than each; of one age the first come first.

    uint32 [k, ages].
    """
    newest_first = rows.T.ravel()
    rank = jnp.cumsum(newest_first, dtype=jnp.uint32) - newest_first
    return rank.reshape(rows.T.shape).T


def _dealt(live: Array, part: Array, parts: int, rows: int) -> Plan:
    """Items in turns: every `parts`-th of the live ones, as many of the newest as fit."""
    rank = _rank(live)
    mine = live & (rank % np.uint32(parts) == part.astype(jnp.uint32))
    rank = rank // np.uint32(parts)
    kept = mine & (rank < rows)
    count = jnp.sum(kept, dtype=jnp.uint32)
    return Plan(jnp.where(kept, count - 1 - rank, ring.NO_SLOT), kept, count)


def _joined(view: Any, stored: Array, rows: int) -> Plan:
    """Streams one after the other, the oldest rows of all left behind where they do not fit.

    Where a stream lost rows, its `history` oldest starts lack what a draw would read. So do those
    at its end whose next steps were still to come, unless the new stream goes on there.
    """
    kept = stored & (_rank(stored) < rows)
    counts = jnp.sum(kept, axis=1, keepdims=True, dtype=jnp.uint32)
    lost = counts < jnp.sum(stored, axis=1, keepdims=True, dtype=jnp.uint32)
    age = np.arange(stored.shape[1], dtype=np.uint32)[None]
    row = jnp.cumsum(counts, axis=0, dtype=jnp.uint32) - 1 - age
    lacking = lost & (age + np.uint32(view.history) >= counts)
    goes_on = np.arange(len(stored))[:, None] == len(stored) - 1
    keep = ~lacking & (goes_on | (age >= view.span))
    return Plan(jnp.where(kept, row, ring.NO_SLOT), keep, jnp.sum(counts, dtype=jnp.uint32))


def _split(view: Any, stored: Array, part: Array, parts: int, rows: int) -> Plan:
    """One range of time of a stream, part 0 the oldest, and the rows that its starts read.

    The starts of ages [begin, end) are its own; they read `span` newer rows and `history` older.
    """
    total = jnp.sum(stored, dtype=jnp.int32)
    each = jnp.minimum(-(-total // parts), rows - view.history - view.span)
    newest = jnp.clip(total - (parts - 1) * each, each, rows - view.history)
    later = parts - 1 - part.astype(jnp.int32)  # parts of newer rows than this one
    begin = jnp.where(later > 0, jnp.minimum(newest + (later - 1) * each, total), 0)
    end = jnp.minimum(newest + later * each, total)
    first, last = jnp.maximum(begin - view.span, 0), jnp.minimum(end + view.history, total)
    age = jnp.arange(len(stored), dtype=jnp.int32)
    taken = (age >= first) & (age < last) & (begin < end)
    count = jnp.sum(taken, dtype=jnp.uint32)
    row = jnp.where(taken, (last - 1 - age).astype(jnp.uint32), ring.NO_SLOT)
    return Plan(row[None], ((age >= begin) & (age < end))[None], count)


def _origins(old: Replay, new: Replay, states: State, plan: Plan) -> moves.Origins:
    """The plan turned round: from each new row to the old one."""
    rows = new.capacity // moves.width(new.view)
    source = np.arange(len(plan.row), dtype=np.uint32)[:, None]
    age = np.arange(plan.row.shape[1], dtype=np.uint32)

    def turned(values: Any, empty: Any) -> Array:
        values = jnp.broadcast_to(values, plan.row.shape)
        return jnp.full(rows, empty).at[plan.row].set(values, mode="drop")

    return moves.Origins(
        source=turned(source, ring.NO_SLOT),
        row=turned(_old_rows(old, states), ring.NO_SLOT),
        age=turned(age, ring.NO_SLOT),
        keep=turned(plan.keep, False),
    )


def _with_cuts(view: Any, state: State, origins: moves.Origins) -> State:
    """A cut at the end of each stream, and no start that died comes back to life.

    A start whose next steps were stored and that was dead has missed its time, but its flags do not
    say so: they are read again where fewer than `span` rows follow it now.
    """
    following = jnp.append(origins.source, ring.NO_SLOT)[1:]
    end = (origins.source != following) & (origins.source != ring.NO_SLOT)
    alive = moves.leaves_of(jax.tree.map(lambda leaf: leaf[None], state.tree), view)[0] > 0
    pending = (origins.age < view.span) & origins.keep
    bits = state.storage.flags
    bits = jnp.where(end[:, None], flags.broken(bits), bits)
    bits = jnp.where(alive | pending[:, None], bits, bits & ~flags.START)
    return state._replace(storage=state.storage._replace(flags=bits))


def _counters(states: State, part: Array) -> State:
    """A state with what is counted over all; of parts the first has it, so that sums hold."""
    state = jax.tree.map(lambda leaf: leaf[0], states)
    if not isinstance(states, PrioritizedState):
        return state
    return state._replace(
        max_priority=jnp.max(states.max_priority),
        rejected=jnp.where(part == 0, reduce(saturating_add, states.rejected), 0),
        stale=jnp.where(part == 0, reduce(saturating_add, states.stale), 0),
    )
