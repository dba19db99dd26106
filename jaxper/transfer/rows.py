"""Rows moved from old rings to a new one, with their leaves, flags and all.

A row is what an add writes as one: a slot, or in a stream one step of all its environments. A row
is told by its age, 0 for the newest, which holds whatever the capacity is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper import sum_tree
from jaxper.replay.priority import LARGEST_TOTAL
from jaxper.stream.stream import Stream

if TYPE_CHECKING:
    from jaxper.replay.prioritized import PrioritizedReplay
    from jaxper.replay.uniform import UniformReplay

    Replay = UniformReplay | PrioritizedReplay

State = Any  # a `UniformState` or a `PrioritizedState`


class Origins(NamedTuple):
    """Where each row of the new ring comes from."""

    source: Array  # uint32 [rows], which of the old rings; `NO_SLOT` where no row is stored
    row: Array  # uint32 [rows], its row there; `NO_SLOT` likewise
    age: Array  # uint32 [rows], the age of that row; `NO_SLOT` likewise
    keep: Array  # bool [rows], whether its leaves are kept; else they are 0


def width(view: Any) -> int:
    """Slots in a row."""
    return getattr(view, "num_envs", 1)


def history(view: Any) -> int:
    """Rows before a start that are read with it."""
    return getattr(view, "history", 0)


def size(state: State) -> Array:
    """Number of live slots, int32 of the state's leading axes."""
    return state.stored if state.tree == () else state.tree.live


def keeps_minimum(replay: Replay) -> bool:
    """Whether the replay's tree keeps the smallest leaf above 0."""
    return getattr(replay, "normalize", None) == "buffer"


def row_of_age(age: Array, next_id: Array, view: Any, capacity: int) -> Array:
    """The row that `age` rows came after, uint32; of ages below capacity / num_envs."""
    rows = np.uint32(capacity // width(view))
    newest = next_id // np.uint32(width(view)) % rows + rows - 1 - age
    return jnp.where(newest < rows, newest, newest - rows)


def leaves_of(tree: sum_tree.SumTree, view: Any) -> Array:
    """The leaves of trees [k, ...] by row, float32 [k, rows, slots in a row]."""
    flat = tree.leaves.reshape(len(tree.leaves), -1)[:, : tree.capacity]
    return flat.reshape(len(flat), -1, width(view))


def moved(leaves: Any, origins: Origins) -> Any:
    """What stands in the new rows of leaves [k, rows, ...]; 0 where no row is stored."""
    at = origins.source, origins.row
    return jax.tree.map(lambda leaf: leaf.at[at].get(mode="fill", fill_value=0), leaves)


def tree(replay: Replay, states: State, origins: Origins) -> Any:
    """The new tree; leaves are bounded as the capacity wants it, else they are kept bit by bit."""
    if states.tree == ():
        return ()
    rows = moved(leaves_of(states.tree, replay.view), origins)
    rows = jnp.minimum(rows, LARGEST_TOTAL / replay.capacity)
    flat = jnp.where(origins.keep[:, None], rows, 0).ravel()
    empty = sum_tree.init(replay.capacity, minimum=keeps_minimum(replay))
    padded = jnp.pad(flat, (0, empty.leaves.size - flat.size))
    return sum_tree.rebuild(empty, padded.reshape(empty.leaves.shape))


def storage(states: State, origins: Origins) -> Any:
    """The new storage; a stream's count is that of the last old ring."""
    if not isinstance(states.storage, Stream):
        return moved(states.storage, origins)
    counts = jax.tree.map(lambda count: count[-1], states.storage.count)
    return moved(states.storage._replace(count=()), origins)._replace(count=counts)
