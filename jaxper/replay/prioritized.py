"""Proportional prioritized replay (Schaul et al. 2016, arXiv 1511.05952)."""

import dataclasses
from typing import Any

import jax
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require
from jaxper.replay import proportional
from jaxper.replay.draw_points import Strategy
from jaxper.replay.prioritized_state import PrioritizedState
from jaxper.replay.proportional import Normalize
from jaxper.replay.sample import ItemsT, Sample
from jaxper.replay.shards import AxisName, count_over_shards
from jaxper.replay.shell import ReplayShell
from jaxper.replay.state_checks import check_kind, check_minimum, check_state
from jaxper.replay.stats import Stats
from jaxper.views.items import Items
from jaxper.views.view import View, check_view


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class PrioritizedReplay(ReplayShell[ItemsT]):
    """Replay that draws items in proportion to a power of their priority.

        P(i) = leaf_i / sum_k leaf_k,    leaf_i = (priority_i + epsilon)^alpha

    The replay is configuration alone: it is hashable, prints as its constructor call and passes
    through `jit` as it is. Its methods are pure functions of the state that `init` returns.

    Args:
      capacity: number of items kept; the oldest is overwritten.
      alpha: how strongly priorities count: 0 draws uniformly, 1 in proportion.
      epsilon: added to each priority, so that an item of priority 0 can still be drawn.
      strategy: `"stratified"` draws once from each of batch_size equal slices of the total,
        in an order in which any part of the batch covers the whole total; `"iid"` draws
        independently.
      normalize: what the weights are divided by: the largest weight in the `"batch"`, the largest
        of any live item in the `"buffer"`, or nothing (`"none"`).
      view: says what is stored and what a draw returns.

    Raises:
      ValueError: an argument is out of its range.

    >>> replay = PrioritizedReplay(1000, alpha=0.5)
    >>> state = replay.init({"observation": jnp.zeros(4), "reward": jnp.float32(0)})
    >>> state = replay.add(state, {"observation": jnp.ones((8, 4)), "reward": jnp.arange(8.0)})
    >>> sample = replay.sample(state, jax.random.key(0), 32, beta=0.4)
    >>> sample.items["observation"].shape, sample.weights.shape
    ((32, 4), (32,))
    >>> state = replay.update_priorities(state, sample.ids, jnp.abs(sample.items["reward"]))

    Source: Schaul et al. 2016, section 3.3 and appendix B.2.1.
    """

    capacity: int
    _: dataclasses.KW_ONLY
    alpha: float = 0.6
    epsilon: float = 1e-6
    strategy: Strategy = "stratified"
    normalize: Normalize = "batch"
    view: View[ItemsT] = Items()

    def __post_init__(self):
        object.__setattr__(self, "capacity", require.count("capacity", self.capacity))
        object.__setattr__(self, "alpha", require.not_negative("alpha", self.alpha))
        object.__setattr__(self, "epsilon", require.not_negative("epsilon", self.epsilon))
        require.choice("strategy", self.strategy, Strategy)
        require.choice("normalize", self.normalize, Normalize)
        check_view(self.view, self.capacity)

    @property
    def keeps_minimum(self) -> bool:
        """Whether the tree of its states keeps the smallest leaf above 0."""
        return self.normalize == "buffer"

    def _check(self, state: Any) -> None:
        check_state(PrioritizedState, self, state)

    def init(
        self, item: Any, *, alpha: ArrayLike | None = None, discount: ArrayLike | None = None
    ) -> PrioritizedState:
        """Makes an empty state.

        Args:
          item: arrays or `jax.ShapeDtypeStruct`s of one item, without a batch axis; for a stream
            a `TimeStep` of one environment.
          alpha: replaces the configured alpha; may be traced, so that `vmap` can sweep it.
          discount: replaces the configured discount of `view=Transitions(...)`; may be traced.

        Raises:
          ValueError: the item has no array or does not suit the view, alpha or discount is out of
            its range, or the view folds nothing that a discount is for.

        >>> replay = PrioritizedReplay(4)
        >>> states = jax.vmap(lambda alpha: replay.init(jnp.zeros(2), alpha=alpha))(jnp.arange(3.0))
        >>> states.alpha.tolist(), states.next_id.shape
        ([0.0, 1.0, 2.0], (3,))
        """
        alpha = self.alpha if alpha is None else alpha
        alpha = require.scalar_copy("alpha", alpha, require.not_negative)
        discount = self.view.init_discount(discount)
        storage = self._init_storage(item)
        return proportional.init(storage, alpha, discount, minimum=self.keeps_minimum)

    def add(
        self,
        state: PrioritizedState,
        items: Any,
        *,
        priorities: ArrayLike | None = None,
        mask: ArrayLike | None = None,
    ) -> PrioritizedState:
        """Stores a batch of items over the oldest ones.

        Args:
          state: the state to add to.
          items: one pytree with arrays [B, ...], B at most the capacity; for a stream a
            `TimeStep` with arrays [T, num_envs, ...].
          priorities: [B], finite and at least 0; without them, and in place of one that is not
            such a number (counted in `rejected`), an item gets `max_priority`, at least 1. A stream
            takes none: each new start gets that.
          mask: bool [B]; rows that are False are not stored. For a stream bool [T, num_envs]: rows
            that are False are stored, but no draw starts there.

        Raises:
          ValueError: an array is not of the structure, shape or dtype given to `init`, there are
            more rows than the capacity, or priorities or mask are not one per row.

        >>> replay = PrioritizedReplay(4)
        >>> state = replay.add(replay.init(jnp.int32(0)), jnp.arange(3), mask=jnp.arange(3) != 1)
        >>> int(replay.size(state)), replay.get(state, jnp.arange(2)).tolist()
        (2, [0, 2])
        """
        self._check(state)
        priorities, mask = self.view.check(state.storage, items, priorities, mask)
        return proportional.add(
            state, items, priorities, mask, view=self.view, epsilon=self.epsilon
        )

    def sample(
        self,
        state: PrioritizedState,
        key: Array,
        batch_size: int,
        *,
        beta: ArrayLike = 0.4,
        axis_name: AxisName = None,
    ) -> Sample[ItemsT]:
        """Draws a batch, with the weights that correct the loss for the draw.

            w_i = (N P(i))^-beta / max_j w_j

        Args:
          state: the state to draw from.
          key: a JAX random key.
          batch_size: number of draws; the same item can be drawn more than once.
          beta: 0 to 1, may be traced; anneal it to 1 to undo the bias in full at the end.
          axis_name: inside `shard_map`, `pmap` or `vmap(axis_name=...)` with one replay per shard:
            each draws `batch_size`, from a key that may be the same on all. P(i) is then the chance
            to be one draw of the global batch, leaf_i / (shards * this shard's total), and N and
            the largest weight are those over all shards.

        Returns:
          A `Sample`. If the replay is empty, its probabilities and weights are 0.

        Raises:
          ValueError: `key` is not one key, `batch_size` is below 1, beta is not a number from 0 to
            1, there is no axis `axis_name`, or the weights are divided by the largest of a buffer
            whose state keeps no smallest leaf.

        >>> replay = PrioritizedReplay(4)
        >>> shards = jax.vmap(lambda items: replay.add(replay.init(items[0]), items))(
        ...     jnp.array([[1.0, 2.0], [3.0, 4.0]])
        ... )
        >>> draw = lambda state: replay.sample(state, jax.random.key(0), 8, axis_name="data")
        >>> sample = jax.vmap(draw, axis_name="data")(shards)
        >>> sample.items.shape, float(sample.probabilities[0, 0])
        ((2, 8), 0.25)

        Source: Schaul et al. 2016, section 3.4, equation 2.
        """
        self._check(state)
        check_minimum(self.normalize, state)
        key, batch_size = require.key(key), require.count("batch_size", batch_size)
        beta = require.scalar("beta", beta, require.fraction)
        return proportional.sample(
            state,
            key,
            batch_size,
            beta,
            require.axis(axis_name),
            view=self.view,
            strategy=self.strategy,
            normalize=self.normalize,
        )

    def update_priorities(
        self,
        state: PrioritizedState,
        ids: ArrayLike,
        priorities: ArrayLike,
        *,
        mask: ArrayLike | None = None,
    ) -> PrioritizedState:
        """Sets the priorities of items; if an id occurs twice, the last valid row counts.

        Args:
          state: the state the ids were drawn from, or a later one.
          ids: uint32 or int32 [B]. One whose item was overwritten or retired since it was drawn,
            or that never was one, is ignored and counted in `stale`.
          priorities: real [B], usually `|TD error|`. One that is NaN, infinite or negative is
            ignored and counted in `rejected`. If epsilon is 0 and alpha is above 0, a priority of 0
            retires the item: it cannot be drawn or updated any more.
          mask: bool [B]; rows that are False do nothing and are not counted.

        Raises:
          ValueError: shapes differ, or ids or mask are of another dtype.

        >>> replay = PrioritizedReplay(4)
        >>> state = replay.add(replay.init(jnp.int32(0)), jnp.arange(3))
        >>> state = replay.update_priorities(state, jnp.array([0, 0, 3]), jnp.array([9.0, 4, 1]))
        >>> float(state.max_priority), int(state.stale)
        (9.0, 1)
        """
        self._check(state)
        ids = require.ids(ids)
        priorities = require.priorities(priorities, ids.size)
        mask = require.mask(mask, ids.shape)
        return proportional.update(state, ids, priorities, mask, epsilon=self.epsilon)

    def reset_priorities(
        self, state: PrioritizedState, priority: ArrayLike = 1.0
    ) -> PrioritizedState:
        """Sets every live item and `max_priority` to one value. Writes the whole tree.

        New items get at least 1 also after a reset to less. If epsilon is 0 and alpha is above 0, a
        priority of 0 retires every item.

        Args:
          state: the state to reset.
          priority: one number. If it is NaN, infinite or negative, nothing changes, and it is
            counted in `rejected`.

        Raises:
          ValueError: the priority is not one real number.
        """
        self._check(state)
        priority = require.scalar("priority", priority)
        return proportional.reset(state, priority, epsilon=self.epsilon)

    def size(self, state: PrioritizedState, *, axis_name: AxisName = None) -> Array:
        """Number of live items, those that can be drawn; int32 []. Over shards their sum."""
        check_kind(PrioritizedState, state)
        return count_over_shards(state.tree.live, require.axis(axis_name))

    def probabilities(
        self, state: PrioritizedState, ids: ArrayLike, *, axis_name: AxisName = None
    ) -> Array:
        """Computes P(i) of these ids now, float32 [B]; 0 if the item is gone or not live.

        The ids are this shard's own; for `axis_name` see `sample`.
        """
        self._check(state)
        return proportional.probabilities(state, require.ids(ids), require.axis(axis_name))

    def stats(self, state: PrioritizedState) -> Stats:
        """Computes statistics for logging, also inside a compiled step. Reads the whole tree."""
        self._check(state)
        return proportional.describe(state)
