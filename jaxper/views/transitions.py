"""The view of a stream as n-step transitions, with stacked frames."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require
from jaxper.storage import records
from jaxper.stream import append, checks, episode_flags, stream
from jaxper.stream.episode_flags import Autoreset
from jaxper.stream.frame_stack import Padding, align_axes, read_stacks
from jaxper.stream.stream import Stream
from jaxper.stream.timestep import TimeStep, Transition
from jaxper.views import stream_views
from jaxper.views.stream_views import StreamViewShell


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Transitions(StreamViewShell):
    """Steps of `num_envs` environments, drawn as n-step transitions of stacked frames.

    Let m be the number of steps from t up to and with the first that ended, at most `n_step`.

        reward           = sum_{k < m} discount^k r_{t+k}
        discount         = discount^m,  0 if step t+m-1 terminated
        next_observation = o_{t+m}

    If the last of them is a *cut* step, whose next observation was not stored, m does not count it
    and next_observation is its own observation. A start is live once steps t ... t+n_step are
    stored and until step t is overwritten. It is dead at a cut step, at an ignored row, where the
    mask of `add` is False, and, once any step has been overwritten, at the frame_stack - 1 oldest
    steps of each environment.

    Args:
      num_envs: environments in lockstep: the same ones in the same order at every add.
      n_step: most steps whose rewards are added up.
      discount: the discount of one step, 0 to 1. The state holds it as an array, so that `vmap` can
        sweep it.
      frame_stack: frames in an observation, oldest first; 1 adds no axis.
      stack_axis: where their axis goes in an observation.
      padding: frames from before the episode: `"repeat"` its first frame, or `"zeros"`.
      autoreset: what the row after an end holds: the next episode's first observation
        (`"same_step"`: gymnax, Brax, Gymnasium's SAME_STEP), or the final observation, with an
        action that is ignored (`"next_step"`: Gymnasium's and ALE's default).

    Raises:
      ValueError: an argument is out of its range.

    >>> replay = PrioritizedReplay(64, view=Transitions(num_envs=2, n_step=3, discount=0.5))
    >>> step = TimeStep(jnp.zeros(4), jnp.int32(0), jnp.float32(8), jnp.bool_(0), jnp.bool_(0))
    >>> state = replay.init(step)
    >>> steps = jax.tree.map(lambda array: jnp.broadcast_to(array, (9, 2, *array.shape)), step)
    >>> state = replay.add(state, steps)
    >>> drawn = replay.sample(state, jax.random.key(0), 32).items
    >>> drawn.next_observation.shape, float(drawn.reward[0]), float(drawn.discount[0])
    ((32, 4), 14.0, 0.125)

    Source: Sutton and Barto 2018, section 7.1; Hessel et al. 2018 (Rainbow).
    """

    num_envs: int
    n_step: int = 1
    discount: float = 0.99
    frame_stack: int = 1
    stack_axis: int = 0
    padding: Padding = "repeat"
    autoreset: Autoreset = "same_step"

    def __post_init__(self):
        for name in ("num_envs", "n_step", "frame_stack"):
            object.__setattr__(self, name, require.count(name, getattr(self, name)))
        object.__setattr__(self, "stack_axis", require.integer("stack_axis", self.stack_axis))
        object.__setattr__(self, "discount", require.fraction("discount", self.discount))
        require.choice("padding", self.padding, Padding)
        require.choice("autoreset", self.autoreset, Autoreset)

    @property
    def rows_after(self) -> int:
        """Ring rows after a start that are read with it."""
        return self.n_step

    @property
    def rows_before(self) -> int:
        """Ring rows before a start that are read with it."""
        return self.frame_stack - 1

    def check_capacity(self, capacity: int) -> None:
        """Refuses a ring that cannot hold this view."""
        needed = self.n_step + self.frame_stack
        checks.check_ring(self, capacity, needed, "n_step + frame_stack")

    def check_storage(self, storage: Any) -> None:
        """Refuses a storage that was made under another view."""
        stream_views.check_storage(self, storage)

    def without_discount(self) -> "Transitions":
        """Returns the view as the state keeps it: its discount is an array of the state."""
        return dataclasses.replace(self, discount=0)

    def init(self, item: Any, capacity: int, *, memory_kind: str | None = None) -> Stream:
        """Makes an empty stream; `item` is one step of one environment, a `TimeStep`."""
        empty = stream.init(self, item, capacity, memory_kind=memory_kind)
        if self.frame_stack > 1:
            observation = records.item_spec(empty.steps).observation
            for path, frame in jax.tree_util.tree_leaves_with_path(observation):
                name = jax.tree_util.keystr(path)
                checks.check_stack_axis(self.stack_axis, frame.ndim, name)
        return empty

    def init_discount(self, discount: ArrayLike | None) -> Array:
        """Returns the discount that the state holds: the given one, or the configured one."""
        discount = self.discount if discount is None else discount
        return require.scalar_copy("discount", discount, require.fraction)

    write = append.append

    def init_count(self) -> tuple[()]:
        """Returns (): nothing is counted along the stream."""
        return ()

    def mark_starts(self, flags: Array, count: tuple[()]) -> tuple[Array, tuple[()]]:
        """Tells which new rows, of flags [T, num_envs], may be starts as far as is known yet."""
        return ~episode_flags.any_set(flags, episode_flags.IGNORED), ()

    def can_start(self, flags: Array) -> Array:
        """Tells whether rows of these flags are starts, once all that they need is stored."""
        cut = episode_flags.any_set(flags, episode_flags.CUT)
        return episode_flags.any_set(flags, episode_flags.START) & ~cut

    def read(
        self, storage: Stream, slots: Array, *, key: Array | None, discount: Array
    ) -> Transition:
        """Returns the transitions that start at `slots`, int32 [B]."""
        # The column of step t in the window of rows that are looked at.
        start = self.frame_stack - 1
        window = np.arange(-start, self.n_step + 1, dtype=np.int32)[None]
        at = stream.slots_ahead(storage, slots[:, None], window)
        flags = stream.read_flags(storage, at)
        in_return = _find_return(flags[:, start:-1])
        # The m of the class's docstring.
        length = jnp.sum(in_return, axis=1, dtype=jnp.int32)
        has_terminated = episode_flags.any_set(flags[:, start:-1], episode_flags.TERMINATED)
        terminated = jnp.any(in_return & has_terminated, axis=1)
        step = self._read_first(storage, slots.astype(jnp.uint32), _rows_since_first(flags, start))
        rewards = stream.read(storage, at[:, start:-1], "reward").reward
        after = stream.slots_ahead(storage, slots, length)
        since_first = _rows_since_first(flags, start + length[:, None])
        return Transition(
            observation=step.observation,
            action=step.action,
            reward=_add_rewards(rewards, in_return, discount),
            discount=jnp.where(terminated, 0, discount ** length.astype(jnp.float32)),
            next_observation=self._read_frames(storage, after, since_first),
            extras=step.extras,
        )

    def _read_first(self, storage: Stream, slots: Array, since_first: Array) -> TimeStep:
        """Reads the first step of each transition, without its reward."""
        if self.frame_stack == 1:
            return stream.read(storage, slots, "observation", "action", "extras")
        step = stream.read(storage, slots, "action", "extras")
        return step._replace(observation=self._read_frames(storage, slots, since_first))

    def _read_frames(self, storage: Stream, slots: Array, since_first: Array) -> Any:
        size, axis = self.frame_stack, self.stack_axis
        return read_stacks(storage, slots, since_first, size, axis, self.padding)


def _find_return(flags: Array) -> Array:
    """Tells which steps, of flags [B, n_step], belong to the n-step return; bool [B, n_step]."""
    column = np.arange(flags.shape[1], dtype=np.int32)[None]
    end = jnp.where(episode_flags.is_end(flags), column, flags.shape[1])
    end = jnp.min(end, axis=1, keepdims=True)
    cut = episode_flags.any_set(flags, episode_flags.CUT)
    return (column < end) | ((column == end) & ~cut)


def _add_rewards(rewards: Array, in_return: Array, discount: Array) -> Array:
    """Adds up discounted rewards [B, n_step, ...] of the steps in the return, float32 [B, ...]."""
    powers = discount ** np.arange(in_return.shape[1], dtype=np.float32)[None]
    terms = rewards.astype(jnp.float32) * align_axes(powers, rewards)
    return jnp.sum(jnp.where(align_axes(in_return, rewards), terms, 0), axis=1)


def _rows_since_first(flags: Array, column: Array | int) -> Array:
    """Counts rows from the first of the episode to `column`; W if the first is not in sight.

    Args:
      flags: uint8 [B, W], flags of consecutive rows.
      column: one column, or [B, 1].

    Returns:
      int32 [B].
    """
    columns = np.arange(flags.shape[1], dtype=np.int32)[None]
    begins = episode_flags.any_set(flags, episode_flags.FIRST) & (columns <= column)
    return jnp.min(jnp.where(begins, column - columns, flags.shape[1]), axis=1)
