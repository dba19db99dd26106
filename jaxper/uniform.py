"""Uniform replay: every stored item is equally likely."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxper import _checks, ring, stats, views
from jaxper.views import Items, Sample


class UniformState(NamedTuple):
    """What a `UniformReplay` knows; a pytree of arrays."""

    next_id: Array  # uint32 [], id of the next item
    stored: Array  # int32 [], slots that hold an item
    storage: Any  # leaves [capacity, ...]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class UniformReplay:
    """Replay that draws every stored item with the same chance, independently.

        P(i) = 1 / N

    It takes the methods and arguments of `PrioritizedReplay`, so that an agent swaps one for the
    other. What concerns priorities (`alpha`, `beta`, `priorities`) it ignores.

    Args:
      capacity: number of items kept; the oldest is overwritten.
      view: what a draw returns.

    Raises:
      ValueError: an argument is out of its range.

    >>> replay = UniformReplay(1000)
    >>> state = replay.init({"observation": jnp.zeros(4), "reward": jnp.float32(0)})
    >>> state = replay.add(state, {"observation": jnp.ones((8, 4)), "reward": jnp.arange(8.0)})
    >>> sample = replay.sample(state, jax.random.key(0), 32)
    >>> sample.items["observation"].shape, float(sample.probabilities[0])
    ((32, 4), 0.125)
    """

    capacity: int
    _: dataclasses.KW_ONLY
    view: Items = Items()

    def __post_init__(self):
        object.__setattr__(self, "capacity", _checks.capacity(self.capacity))
        views.check(self.view)

    def init(self, item: Any, *, alpha: ArrayLike | None = None) -> UniformState:
        """An empty state for items like `item`: arrays or `jax.ShapeDtypeStruct`s of one item."""
        return UniformState(
            next_id=jnp.zeros((), jnp.uint32),
            stored=jnp.zeros((), jnp.int32),
            storage=self.view.init(item, self.capacity),
        )

    def add(
        self,
        state: UniformState,
        items: Any,
        *,
        priorities: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> UniformState:
        """Stores a batch of items over the oldest ones.

        Args:
          state: the state to add to.
          items: one pytree with leaves [B, ...], B at most the capacity.
          priorities: ignored.
          mask: bool [B]; rows that are False are not stored.

        Raises:
          ValueError: a leaf is not of the structure, shape or dtype given to `init`.
        """
        rows = _checks.items(items, state.storage, self.capacity)
        if mask is not None:
            mask = _checks.mask(mask, rows)
        return _add(self, state, items, mask)

    def sample(
        self, state: UniformState, key: Array, batch_size: int, *, beta: ArrayLike = 0.4
    ) -> Sample:
        """Draws a batch; all weights are 1, or 0 where the replay is empty.

        Raises:
          ValueError: `batch_size` is below 1.
        """
        return _sample(self, state, key, _checks.batch_size(batch_size))

    def update_priorities(
        self,
        state: UniformState,
        ids: ArrayLike,
        priorities: ArrayLike,
        *,
        mask: ArrayLike | None = None,
    ) -> UniformState:
        """The state as it is."""
        return state

    def get(self, state: UniformState, ids: ArrayLike) -> Any:
        """The items of these ids, leaves [B, ...]; of a stale id what its slot holds now."""
        return self.view.read(state.storage, ring.slot_of(_checks.ids(ids), self.capacity))

    def reset_priorities(self, state: UniformState, priority: ArrayLike = 1.0) -> UniformState:
        """The state as it is."""
        return state

    def size(self, state: UniformState) -> Array:
        """Number of stored items, int32 []."""
        return state.stored

    def probabilities(self, state: UniformState, ids: ArrayLike) -> Array:
        """1 / N, float32 [B]; 0 where the item is gone."""
        stored = ring.is_stored(_checks.ids(ids), state.next_id, state.stored, self.capacity)
        return stored / jnp.maximum(state.stored, 1).astype(jnp.float32)

    def stats(self, state: UniformState) -> stats.Stats:
        """Scalars for logging, as of a prioritized replay whose leaves are all 1."""
        size = state.stored.astype(jnp.float32)
        one = jnp.minimum(size, 1)
        return stats.Stats(
            size=state.stored,
            fill=size / self.capacity,
            total=size,
            mean=one,
            smallest=one,
            largest=one,
            effective_sample_size=size,
            max_priority=jnp.ones((), jnp.float32),
            rejected=jnp.zeros((), jnp.uint32),
            stale=jnp.zeros((), jnp.uint32),
        )

    def nbytes(self, item: Any) -> int:
        """Bytes that `init(item)` will take."""
        return ring.nbytes(jax.eval_shape(self.init, item))


@partial(jax.jit, inline=True)
def _add(
    replay: UniformReplay, state: UniformState, items: Any, mask: Array | None
) -> UniformState:
    rows = len(jax.tree.leaves(items)[0])
    slots = ring.next_slots(state.next_id, rows, mask, replay.capacity)
    count = jnp.sum(slots != ring.NO_SLOT, dtype=jnp.uint32)
    return UniformState(
        next_id=ring.advance(state.next_id, count, replay.capacity),
        stored=ring.stored_after(state.stored, count, replay.capacity),
        storage=replay.view.write(state.storage, slots, items),
    )


@partial(jax.jit, inline=True, static_argnames="batch_size")
def _sample(replay: UniformReplay, state: UniformState, key: Array, batch_size: int) -> Sample:
    empty = state.stored == 0
    age = jax.random.randint(key, (batch_size,), 0, state.stored, jnp.int32).astype(jnp.uint32)
    ids = ring.id_of_age(age, state.next_id, replay.capacity)
    ids = jnp.where(empty, ring.NO_ID, ids)
    probabilities = replay.probabilities(state, ids)
    weights = jnp.where(empty, 0, jnp.ones(batch_size, jnp.float32))
    return Sample(replay.get(state, ids), ids, probabilities, weights)
