"""The move of a state into a ring of another capacity."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering.scatter import DROPPED
from jaxper.replay.types import Replay, State, StateT
from jaxper.storage import ring
from jaxper.transfer.rows import RowSources, find_row, take_storage, take_tree
from jaxper.transfer.state_checks import check_whole


def resize(replay: Replay, state: StateT, capacity: int) -> StateT:
    """Returns the state for the same replay of another capacity, larger or smaller.

    Growing keeps everything. Shrinking keeps the newest; `replay.size` before and after tells how
    many live items it dropped. A stream goes on as if it always had this capacity: starts whose
    next steps are still to come stay so, and if steps were dropped, the `frame_stack` - 1 oldest
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
    check_whole(replay, state)
    new = dataclasses.replace(replay, capacity=capacity)
    if state.next_id.ndim:
        raise ValueError(
            f"resize takes the state of one replay, got leading axes {state.next_id.shape}; "
            f"write jax.vmap(lambda state: jaxper.resize(replay, state, {capacity}))(state)"
        )
    return _move(replay, new, state)


@partial(jax.jit, inline=True)
def _move(old: Replay, new: Replay, state: StateT) -> StateT:
    """Moves the rows of a state from the ring of `old` to that of `new`."""
    next_id = state.next_id % ring.modulus(new.capacity)
    sources = _find_sources(old, new, state, next_id)
    states = jax.tree.map(lambda array: array[None], state)
    return state._replace(
        next_id=next_id,
        stored=jnp.minimum(state.stored, new.capacity),
        tree=take_tree(new, states, sources),
        storage=take_storage(new, states, sources),
    )


def _find_sources(old: Replay, new: Replay, state: State, next_id: Array) -> RowSources:
    """Finds the old row of the age of each new row."""
    view, width = old.view, old.view.slots_per_row
    rows = new.capacity // width
    age = find_row(jnp.arange(rows, dtype=jnp.uint32), next_id, view, new.capacity)
    is_stored = age < (state.stored // width).astype(jnp.uint32)
    row = find_row(age, state.next_id, view, old.capacity)
    overwritten = state.stored > new.capacity
    return RowSources(
        ring=jnp.where(is_stored, np.uint32(0), DROPPED),
        row=jnp.where(is_stored, row, DROPPED),
        age=jnp.where(is_stored, age, DROPPED),
        keep_leaves=~(overwritten & (age >= rows - view.rows_before)),
    )
