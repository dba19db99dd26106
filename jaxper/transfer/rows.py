"""Rows moved from old rings to a new one, with their leaves, flags and all.

A row is the part of a ring that an add writes as one: a slot, or in a stream one step of all its
environments. It is named by its age, 0 for the newest, which holds whatever the capacity is.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.replay.priority import LARGEST_TOTAL
from jaxper.replay.types import Replay, State
from jaxper.tree import core
from jaxper.tree.core import SumTree
from jaxper.views.view import View


class RowSources(NamedTuple):
    """The origin of each row of the new ring."""

    ring: Array  # uint32 [rows], which of the old rings; `DROPPED` if no row is stored
    row: Array  # uint32 [rows], its row there; `DROPPED` if no row is stored
    age: Array  # uint32 [rows], the age of that row; `DROPPED` if no row is stored
    keep_leaves: Array  # bool [rows], whether its leaves are kept; they are 0 otherwise


def find_row(age: Array, next_id: Array, view: View, capacity: int) -> Array:
    """Returns the row added `age` rows before the newest, uint32; ages below capacity / width."""
    width = view.slots_per_row
    rows = np.uint32(capacity // width)
    row = next_id // np.uint32(width) % rows + rows - 1 - age
    return jnp.where(row < rows, row, row - rows)


def read_leaves_by_row(tree: SumTree, view: View) -> Array:
    """Returns the leaves of trees [k, ...] by row, float32 [k, rows, slots in a row]."""
    flat = tree.leaves.reshape(len(tree.leaves), -1)[:, : tree.capacity]
    return flat.reshape(len(flat), -1, view.slots_per_row)


def take(array: Array, sources: RowSources) -> Array:
    """Takes the new rows from an array [k, rows, ...]; 0 if no row is stored."""
    return array.at[sources.ring, sources.row].get(mode="fill", fill_value=0)


def take_tree(replay: Replay, states: State, sources: RowSources) -> SumTree | None:
    """Builds the new tree.

    Leaves are clipped as the new capacity wants it; below that they are kept bit by bit.
    """
    if states.tree is None:
        return None
    rows = take(read_leaves_by_row(states.tree, replay.view), sources)
    rows = jnp.minimum(rows, LARGEST_TOTAL / replay.capacity)
    flat = jnp.where(sources.keep_leaves[:, None], rows, 0).ravel()
    empty = core.init(replay.capacity, minimum=replay.keeps_minimum)
    padded = jnp.pad(flat, (0, empty.leaves.size - flat.size))
    return core.with_leaves(empty, padded.reshape(empty.leaves.shape))


def take_storage(replay: Replay, states: State, sources: RowSources) -> Any:
    """Builds the new storage."""
    return replay.view.take_rows(states.storage, lambda array: take(array, sources))
