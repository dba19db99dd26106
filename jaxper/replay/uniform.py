"""Uniform replay: every live item is equally likely."""

import dataclasses
from typing import Any

import jax
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require
from jaxper.replay import equiprobable as uniform_state
from jaxper.replay import shards as axis
from jaxper.replay import state_checks as _check_state
from jaxper.replay.equiprobable import UniformState
from jaxper.replay.stats import Stats
from jaxper.storage import ring
from jaxper.stream import stream
from jaxper.views import items as views
from jaxper.views.items import Items, Sample, View


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class UniformReplay:
    """Replay that draws every live item with the same chance, independently.

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
    view: View = Items()

    def __post_init__(self):
        object.__setattr__(self, "capacity", require.count("capacity", self.capacity))
        views.check(self.view, self.capacity)

    def init(
        self, item: Any, *, alpha: ArrayLike | None = None, discount: ArrayLike | None = None
    ) -> UniformState:
        """An empty state.

        Args:
          item: arrays or `jax.ShapeDtypeStruct`s of one item, without a batch axis; for a stream
            a `TimeStep` of one environment.
          alpha: ignored.
          discount: for `view=Transitions(...)`: replaces the configured one.

        Raises:
          ValueError: the item has no array or does not suit the view.
        """
        return uniform_state.init(self, item, self.view.init_discount(discount))

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
          items: one pytree with leaves [B, ...], B at most the capacity; for a stream a
            `TimeStep` with leaves [T, num_envs, ...].
          priorities: ignored; an error for a stream.
          mask: bool [B]; rows that are False are not stored. For a stream bool [T, num_envs]: rows
            that are False are stored, but no draw starts there.

        Raises:
          ValueError: a leaf is not of the structure, shape or dtype given to `init`, there are more
            rows than the capacity, or the mask is not one bool per row.
        """
        if isinstance(self.view, Items):
            priorities = None
        _check_state.fits(UniformState, self, state)
        _, mask = self.view.check(state.storage, items, priorities, mask)
        return uniform_state.add(self, state, items, mask)

    def sample(
        self,
        state: UniformState,
        key: Array,
        batch_size: int,
        *,
        beta: ArrayLike = 0.4,
        axis_name: axis.Name = None,
    ) -> Sample:
        """Draws a batch; all weights are 1, or 0 where the replay is empty.

        Args:
          state: the state to draw from.
          key: a JAX random key.
          batch_size: number of draws; the same item can be drawn more than once.
          beta: ignored.
          axis_name: inside `shard_map`, `pmap` or `vmap(axis_name=...)` with one replay per shard:
            each draws `batch_size`, from a key that may be the same on all. P(i) is then the chance
            to be one draw of the global batch, and the weights are 1 / (N P(i)) with N over all
            shards: 1 where all hold equally many items, and every item counts alike where not.

        Raises:
          ValueError: `key` is not one key, `batch_size` is below 1, or there is no axis
            `axis_name`.
        """
        _check_state.fits(UniformState, self, state)
        key, batch_size = require.key(key), require.count("batch_size", batch_size)
        return uniform_state.sample(self, state, key, batch_size, require.axis(axis_name))

    def update_priorities(
        self,
        state: UniformState,
        ids: ArrayLike,
        priorities: ArrayLike,
        *,
        mask: ArrayLike | None = None,
    ) -> UniformState:
        """The state as it is; what concerns priorities is ignored."""
        _check_state.fits(UniformState, self, state)
        return state

    def get(self, state: UniformState, ids: ArrayLike) -> Any:
        """The items of these ids, leaves [B, ...]; of a stale id what its slot holds now."""
        _check_state.fits(UniformState, self, state)
        return views.get(self, state, require.ids(ids))

    def reset_priorities(self, state: UniformState, priority: ArrayLike = 1.0) -> UniformState:
        """The state as it is; what concerns priorities is ignored."""
        _check_state.fits(UniformState, self, state)
        return state

    def size(self, state: UniformState, *, axis_name: axis.Name = None) -> Array:
        """Number of live items, those that can be drawn; int32 []. Over shards their sum."""
        _check_state.of_kind(UniformState, state)
        return axis.count(uniform_state.size(state), require.axis(axis_name))

    def probabilities(
        self, state: UniformState, ids: ArrayLike, *, axis_name: axis.Name = None
    ) -> Array:
        """1 / N, float32 [B]; 0 where the item is gone or not live.

        The ids are this shard's own; of `axis_name` see `sample`.
        """
        _check_state.fits(UniformState, self, state)
        axis_name = require.axis(axis_name)
        return uniform_state.probabilities(self, state, require.ids(ids), axis_name)

    def stats(self, state: UniformState) -> Stats:
        """Scalars for logging, as of a prioritized replay whose live leaves are all 1."""
        _check_state.fits(UniformState, self, state)
        return uniform_state.stats_of(self, state)

    def cut(self, state: UniformState) -> UniformState:
        """The state with a break in its stream: see `jaxper.cut`."""
        _check_state.fits(UniformState, self, state)
        return stream.cut(state)

    def nbytes(self, item: Any) -> int:
        """Bytes that `init(item)` will take."""
        return ring.nbytes(jax.eval_shape(self.init, item))
