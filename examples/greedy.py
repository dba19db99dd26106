"""Greedy replay: always the item whose priority is the largest, for comparison."""

import dataclasses
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

import jaxper


class GreedyState(NamedTuple):
    """What a `GreedyReplay` knows."""

    items: Any  # leaves [capacity, ...]
    priorities: Array  # float32 [groups, groups], in rows; -1 where no item is
    largest: Array  # float32 [groups], of each row


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class GreedyReplay:
    """Draws the item of the largest priority, of equal ones the oldest; it is filled once.

    Ids are slots. A draw reads the largest priority of each group, and one group: about
    2 sqrt(capacity) numbers.
    """

    capacity: int

    def init(self, item: Any) -> GreedyState:
        """An empty state, for items like this one."""
        side = math.isqrt(self.capacity - 1) + 1
        items = jax.tree.map(lambda leaf: jnp.zeros((self.capacity, *leaf.shape), leaf.dtype), item)
        return GreedyState(items, jnp.full((side, side), -1.0), jnp.full(side, -1.0))

    def add(self, state: GreedyState, items: Any) -> GreedyState:
        """Fills the state with `items`, leaves [capacity, ...], all of priority 1."""
        filled = state.priorities.ravel().at[: self.capacity].set(1.0)
        priorities = filled.reshape(state.priorities.shape)
        return GreedyState(items, priorities, jnp.max(priorities, axis=1))

    def sample(self, state: GreedyState, key: Array, batch_size: int) -> jaxper.Sample:
        """One item; the arguments of the other replays' draws are taken, and not used."""
        group = jnp.argmax(state.largest)
        slot = group * len(state.largest) + jnp.argmax(state.priorities[group])
        items = jax.tree.map(lambda leaf: leaf[slot][None], state.items)
        return jaxper.Sample(items, slot[None], jnp.ones(1), jnp.ones(1))

    def update_priorities(self, state: GreedyState, ids: Array, priorities: Array) -> GreedyState:
        """The state with the priority of one item, ids and priorities [1], replaced."""
        group, place = ids[0] // len(state.largest), ids[0] % len(state.largest)
        after = state.priorities.at[group, place].set(priorities[0])
        return GreedyState(state.items, after, state.largest.at[group].set(jnp.max(after[group])))
