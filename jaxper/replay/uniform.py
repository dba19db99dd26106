"""Uniform replay: every live item is equally likely."""

import dataclasses
from typing import Any

import jax
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require
from jaxper.replay import equiprobable
from jaxper.replay.equiprobable import UniformState
from jaxper.replay.sample import ItemsT, Sample
from jaxper.replay.shards import AxisName, count_over_shards
from jaxper.replay.shell import ReplayShell
from jaxper.replay.state_checks import check_kind, check_state
from jaxper.replay.stats import Stats
from jaxper.views.items import Items
from jaxper.views.view import View, check_view


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class UniformReplay(ReplayShell[ItemsT]):
    """Replay that draws every live item with the same chance, independently.

        P(i) = 1 / N

    It takes the methods and arguments of `PrioritizedReplay`, so that an agent swaps one for the
    other. It ignores `alpha` and `beta`, and the `priorities` of items.

    Args:
      capacity: number of items kept; the oldest is overwritten.
      view: says what is stored and what a draw returns.

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
    view: View[ItemsT] = Items()

    def __post_init__(self):
        object.__setattr__(self, "capacity", require.count("capacity", self.capacity))
        check_view(self.view, self.capacity)

    @property
    def keeps_minimum(self) -> bool:
        """Whether the tree of its states keeps the smallest leaf above 0: never."""
        return False

    def _check(self, state: Any) -> None:
        check_state(UniformState, self, state)

    def init(
        self, item: Any, *, alpha: ArrayLike | None = None, discount: ArrayLike | None = None
    ) -> UniformState:
        """Makes an empty state.

        Args:
          item: arrays or `jax.ShapeDtypeStruct`s of one item, without a batch axis; for a stream
            a `TimeStep` of one environment.
          alpha: ignored.
          discount: for `view=Transitions(...)`: replaces the configured one.

        Raises:
          ValueError: the item has no array or does not suit the view, or discount is out of its
            range.
        """
        discount = self.view.init_discount(discount)
        return equiprobable.init(self._init_storage(item), discount, all_live=self.view.all_live)

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
          items: one pytree with arrays [B, ...], B at most the capacity; for a stream a
            `TimeStep` with arrays [T, num_envs, ...].
          priorities: ignored; an error for a stream.
          mask: bool [B]; rows that are False are not stored. For a stream bool [T, num_envs]: rows
            that are False are stored, but no draw starts there.

        Raises:
          ValueError: an array is not of the structure, shape or dtype given to `init`, there are
            more rows than the capacity, or the mask is not one bool per row.
        """
        if self.view.takes_priorities:
            priorities = None
        self._check(state)
        _, mask = self.view.check(state.storage, items, priorities, mask)
        return equiprobable.add(state, items, mask, view=self.view)

    def sample(
        self,
        state: UniformState,
        key: Array,
        batch_size: int,
        *,
        beta: ArrayLike = 0.4,
        axis_name: AxisName = None,
    ) -> Sample[ItemsT]:
        """Draws a batch; all weights are 1, or 0 if the replay is empty.

        Args:
          state: the state to draw from.
          key: a JAX random key.
          batch_size: number of draws; the same item can be drawn more than once.
          beta: ignored.
          axis_name: inside `shard_map`, `pmap` or `vmap(axis_name=...)` with one replay per shard:
            each draws `batch_size`, from a key that may be the same on all. P(i) is then the chance
            to be one draw of the global batch, and the weights are 1 / (N P(i)) with N over all
            shards: 1 if all hold equally many items. If not, they make every item count alike.

        Raises:
          ValueError: `key` is not one key, `batch_size` is below 1, or there is no axis
            `axis_name`.
        """
        self._check(state)
        key, batch_size = require.key(key), require.count("batch_size", batch_size)
        axis_name = require.axis(axis_name)
        return equiprobable.sample(state, key, batch_size, axis_name, view=self.view)

    def update_priorities(
        self,
        state: UniformState,
        ids: ArrayLike,
        priorities: ArrayLike,
        *,
        mask: ArrayLike | None = None,
    ) -> UniformState:
        """Returns the state as it is: a uniform draw has no priorities."""
        self._check(state)
        return state

    def reset_priorities(self, state: UniformState, priority: ArrayLike = 1.0) -> UniformState:
        """Returns the state as it is: a uniform draw has no priorities."""
        self._check(state)
        return state

    def size(self, state: UniformState, *, axis_name: AxisName = None) -> Array:
        """Number of live items, those that can be drawn; int32 []. Over shards their sum."""
        check_kind(UniformState, state)
        return count_over_shards(equiprobable.size(state), require.axis(axis_name))

    def probabilities(
        self, state: UniformState, ids: ArrayLike, *, axis_name: AxisName = None
    ) -> Array:
        """Computes P(i) of these ids now, 1 / N, float32 [B]; 0 if the item is gone or not live.

        The ids are this shard's own; for `axis_name` see `sample`.
        """
        self._check(state)
        return equiprobable.probabilities(state, require.ids(ids), require.axis(axis_name))

    def stats(self, state: UniformState) -> Stats:
        """Computes statistics for logging, as if all live leaves were 1."""
        self._check(state)
        return equiprobable.describe(state)
