"""The state of a replay of another capacity."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.replay import state_checks as _check_state
from jaxper.storage import ring
from jaxper.transfer import rows as moves

if TYPE_CHECKING:
    from jaxper.transfer.rows import Replay, State


def resize(replay: Replay, state: State, capacity: int) -> State:
    """The state for the same replay of another capacity: to grow it or to shrink it.

    Growing keeps everything. Shrinking keeps the newest; `replay.size` before and after tells how
    many live items it dropped. A stream goes on as if it always had this capacity: starts whose
    next steps are still to come stay so, and where steps were dropped the `frame_stack` - 1 oldest
    of each environment are dead.

    Ids stay what they are until the first 2^31 items were added. After that a resize may shift
    them, so update the priorities of a sample before you resize, not after.

    Args:
      replay: the replay as it was.
      state: its state; for one with leading axes write `jax.vmap`.
      capacity: the new one.

    Returns:
      The state for `dataclasses.replace(replay, capacity=capacity)`.

    Raises:
      ValueError: the capacity is out of range or does not suit the view, or the state is not one of
        this replay.

    >>> import dataclasses
    >>> replay = PrioritizedReplay(4)
    >>> state = replay.add(replay.init(jnp.int32(0)), jnp.arange(4))
    >>> state = resize(replay, state, 6)
    >>> replay = dataclasses.replace(replay, capacity=6)
    >>> state = replay.add(state, jnp.arange(4, 9))
    >>> replay.get(state, jnp.arange(3, 9)).tolist(), int(replay.size(state))
    ([3, 4, 5, 6, 7, 8], 6)
    """
    _check_state.whole(replay, state)
    new = dataclasses.replace(replay, capacity=capacity)
    if state.next_id.ndim:
        raise ValueError(
            f"resize takes the state of one replay, got leading axes {state.next_id.shape}; "
            f"write jax.vmap(lambda state: jaxper.resize(replay, state, {capacity}))(state)"
        )
    return _resized(replay, new, state)


@partial(jax.jit, inline=True)
def _resized(replay: Replay, new: Replay, state: State) -> State:
    next_id = state.next_id % ring.modulus(new.capacity)
    origins = _origins(replay, new, state, next_id)
    states = jax.tree.map(lambda leaf: leaf[None], state)
    return state._replace(
        next_id=next_id,
        stored=jnp.minimum(state.stored, new.capacity),
        tree=moves.tree(new, states, origins),
        storage=moves.storage(states, origins),
    )


def _origins(replay: Replay, new: Replay, state: State, next_id: Array) -> moves.Origins:
    """Each new row from the old row of its age."""
    view, width = replay.view, moves.width(replay.view)
    rows = new.capacity // width
    age = moves.row_of_age(jnp.arange(rows, dtype=jnp.uint32), next_id, view, new.capacity)
    stored = age < (state.stored // width).astype(jnp.uint32)
    row = moves.row_of_age(age, state.next_id, view, replay.capacity)
    lost = state.stored > new.capacity
    return moves.Origins(
        source=jnp.where(stored, np.uint32(0), ring.NO_SLOT),
        row=jnp.where(stored, row, ring.NO_SLOT),
        age=jnp.where(stored, age, ring.NO_SLOT),
        keep=~(lost & (age >= rows - moves.history(view))),
    )
