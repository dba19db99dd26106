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
from jaxper.stream import checks, stream
from jaxper.stream import episode_flags as flags
from jaxper.stream import frame_stack as frames
from jaxper.stream.stream import Stream
from jaxper.stream.timestep import TimeStep, Transition


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Transitions:
    """Steps of `num_envs` environments, drawn as n-step transitions of stacked frames.

    Let m be the number of steps from t up to and with the first that ended, at most `n_step`.

        reward           = sum_{k < m} discount^k r_{t+k}
        discount         = discount^m,  0 if step t+m-1 terminated
        next_observation = o_{t+m}

    Where the last of them is a *cut* step, whose next observation was not stored, m does not count
    it and next_observation is its own observation. A start is live once steps t ... t+n_step are
    stored and until step t is overwritten; dead are starts at a cut step, at an ignored row, where
    the mask of `add` is False, and, once any step has been overwritten, the frame_stack - 1 oldest
    steps of each environment.

    Args:
      num_envs: environments in lockstep: the same ones in the same order at every add.
      n_step: most steps whose rewards are added up.
      discount: of one step, 0 to 1. The state holds it as an array, so `vmap` can sweep it.
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
    >>> steps = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (9, 2, *leaf.shape)), step)
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
    padding: frames.Padding = "repeat"
    autoreset: flags.Autoreset = "same_step"

    def __post_init__(self):
        for name in ("num_envs", "n_step", "frame_stack"):
            object.__setattr__(self, name, require.count(name, getattr(self, name)))
        object.__setattr__(self, "stack_axis", require.integer("stack_axis", self.stack_axis))
        object.__setattr__(self, "discount", require.fraction("discount", self.discount))
        require.choice("padding", self.padding, frames.Padding)
        require.choice("autoreset", self.autoreset, flags.Autoreset)

    @property
    def span(self) -> int:
        """Rows after a start that are read with it."""
        return self.n_step

    @property
    def history(self) -> int:
        """Rows before a start that are read with it."""
        return self.frame_stack - 1

    def fit(self, capacity: int) -> None:
        """Refuses a ring that cannot hold this view."""
        needed = self.n_step + self.frame_stack
        require.ring_fits(self, capacity, needed, "n_step + frame_stack")

    def init(self, item: Any, capacity: int) -> Stream:
        """An empty stream; `item` is one step of one environment, a `TimeStep`."""
        empty = stream.init(self, item, capacity)
        if self.frame_stack > 1:
            observation = records.expected(empty.steps).observation
            for path, leaf in jax.tree_util.tree_leaves_with_path(observation):
                name = jax.tree_util.keystr(path)
                checks.check_stack_axis(self.stack_axis, leaf.ndim - 2, name)
        return empty

    def init_discount(self, discount: ArrayLike | None) -> Array:
        """What the state holds: `discount`, or the configured one."""
        discount = self.discount if discount is None else discount
        return require.traceable("discount", discount, require.fraction)

    check = staticmethod(stream.check)
    write = stream.write

    def first_count(self) -> tuple[()]:
        """Nothing is counted along the stream."""
        return ()

    def starts(self, bits: Array, count: tuple[()]) -> tuple[Array, tuple[()]]:
        """Which new rows, of flags [T, num_envs], may be starts as far as is known yet."""
        return ~flags.has(bits, flags.IGNORED), ()

    def may_start(self, bits: Array) -> Array:
        """Whether rows of these flags may be starts now that all they need is stored."""
        return flags.has(bits, flags.START) & ~flags.has(bits, flags.CUT)

    def read(self, stored: Stream, discount: Array, slots: Array) -> Transition:
        """The transitions that start at `slots`, int32 [B]."""
        start = self.frame_stack - 1  # the column of step t in what follows
        window = np.arange(-start, self.n_step + 1, dtype=np.int32)[None]
        at = stream.later(stored, slots[:, None], window)
        bits = stream.flags_of(stored, at)
        counted = _counted(bits[:, start:-1])
        length = jnp.sum(counted, axis=1, dtype=jnp.int32)  # m
        terminated = jnp.any(counted & flags.has(bits[:, start:-1], flags.TERMINATED), axis=1)
        step = self._step(stored, slots.astype(jnp.uint32), _since_first(bits, start))
        rewards = stream.read(stored, at[:, start:-1], "reward").reward
        after = stream.later(stored, slots, length)
        return Transition(
            observation=step.observation,
            action=step.action,
            reward=_fold(rewards, counted, discount),
            discount=jnp.where(terminated, 0, discount ** length.astype(jnp.float32)),
            next_observation=self._frames(
                stored, after, _since_first(bits, start + length[:, None])
            ),
            extras=step.extras,
        )

    def _step(self, stored: Stream, slots: Array, since_first: Array) -> TimeStep:
        if self.frame_stack == 1:
            return stream.read(stored, slots, "observation", "action", "extras")
        step = stream.read(stored, slots, "action", "extras")
        return step._replace(observation=self._frames(stored, slots, since_first))

    def _frames(self, stored: Stream, slots: Array, since_first: Array) -> Any:
        size, axis = self.frame_stack, self.stack_axis
        return frames.read(stored, slots, since_first, size, axis, self.padding)


def _counted(bits: Array) -> Array:
    """Which steps, of flags [B, n_step], belong to the fold: bool [B, n_step]."""
    column = np.arange(bits.shape[1], dtype=np.int32)[None]
    end = jnp.where(flags.ended(bits), column, bits.shape[1])
    end = jnp.min(end, axis=1, keepdims=True)
    return (column < end) | ((column == end) & ~flags.has(bits, flags.CUT))


def _fold(rewards: Array, counted: Array, discount: Array) -> Array:
    """Discounted sums of the rewards [B, n_step, ...] that are counted, float32 [B, ...]."""
    powers = discount ** np.arange(counted.shape[1], dtype=np.float32)[None]
    terms = rewards.astype(jnp.float32) * frames.expanded(powers, rewards)
    return jnp.sum(jnp.where(frames.expanded(counted, rewards), terms, 0), axis=1)


def _since_first(bits: Array, column: Array | int) -> Array:
    """Rows from the first of the episode to `column`, int32 [B]; many where it is not in sight.

    Args:
      bits: uint8 [B, W], flags of consecutive rows.
      column: one, or [B, 1].
    """
    columns = np.arange(bits.shape[1], dtype=np.int32)[None]
    begins = flags.has(bits, flags.FIRST) & (columns <= column)
    return jnp.min(jnp.where(begins, column - columns, bits.shape[1]), axis=1)
