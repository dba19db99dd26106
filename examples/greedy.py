"""Greedy replay, for comparison: it always draws the item with the largest priority."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

import jaxper


class GreedyState(NamedTuple):
    """The state of a `GreedyReplay`."""

    items: Any  # arrays [capacity, ...]
    priorities: Array  # float32 [groups, groups], row by row; -1 where there is no item
    largest: Array  # float32 [groups], the largest priority of each row


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class GreedyReplay:
    """Draws the item with the largest priority, and the oldest one if there are several.

    It is filled once, and ids are slots. Priorities are in groups of about sqrt(capacity). A draw
    reads the largest priority of each group, and then one group.
    """

    capacity: int

    def init(self, item: Any) -> GreedyState:
        """Returns an empty state for items like this one."""
        side = math.isqrt(self.capacity - 1) + 1
        items = jax.tree.map(
            lambda array: jnp.zeros((self.capacity, *array.shape), array.dtype), item
        )
        return GreedyState(items, jnp.full((side, side), -1.0), jnp.full(side, -1.0))

    def add(self, state: GreedyState, items: Any) -> GreedyState:
        """Fills the state with items, arrays [capacity, ...], whose priorities are then 1."""
        filled = state.priorities.ravel().at[: self.capacity].set(1.0)
        priorities = filled.reshape(state.priorities.shape)
        return GreedyState(items, priorities, jnp.max(priorities, axis=1))

    def sample(self, state: GreedyState, key: Array, batch_size: int) -> jaxper.Sample:
        """Draws one item. The other arguments are those of the other replays, and not used."""
        group = jnp.argmax(state.largest)
        slot = group * len(state.largest) + jnp.argmax(state.priorities[group])
        items = jax.tree.map(lambda array: array[slot][None], state.items)
        return jaxper.Sample(items, slot[None], jnp.ones(1), jnp.ones(1))

    def update_priorities(self, state: GreedyState, ids: Array, priorities: Array) -> GreedyState:
        """Replaces the priority of one item, ids and priorities [1]."""
        group, column = ids[0] // len(state.largest), ids[0] % len(state.largest)
        after = state.priorities.at[group, column].set(priorities[0])
        return GreedyState(state.items, after, state.largest.at[group].set(jnp.max(after[group])))
