"""The view of a stream as sequences, for recurrent agents."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require
from jaxper.lowering.once import compute_once
from jaxper.stream import append, checks, episode_flags, stream
from jaxper.stream.episode_flags import Autoreset
from jaxper.stream.stream import Stream
from jaxper.stream.timestep import Sequence
from jaxper.views import stream_views
from jaxper.views.stream_views import StreamViewShell

# Whether a sequence stops at the end of its episode or goes on in the next one.
Boundaries = Literal["stop", "cross"]


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Sequences(StreamViewShell):
    """Steps of `num_envs` environments, drawn as windows of `length` consecutive ones.

    A start is live once steps t ... t+length-1 are stored and until step t is overwritten. It is
    dead where the mask of `add` is False. The last step of a sequence and a *cut* step have no next
    observation: take length = burn-in + train + 1, and learn from the steps of

        mask & (terminated | next_is_here),    next_is_here = append(~first[1:], False)

    A truncated step whose final observation was stored (`"next_step"`) has it in the next row.

    Args:
      num_envs: environments in lockstep: the same ones in the same order at every add.
      length: steps in a sequence.
      period: with boundaries `"stop"` starts are every `period`-th step counted from the first of
        their episode, with `"cross"` every `period`-th row of the stream.
      boundaries: with `"stop"` the mask is True up to and with the first end. With `"cross"`
        sequences go on in the next episode, and the mask is True except at ignored rows, which
        may be starts.
      autoreset: what the row after an end holds: the next episode's first observation
        (`"same_step"`), or the final observation, with an action that is ignored (`"next_step"`).

    Raises:
      ValueError: an argument is out of its range.

    >>> replay = PrioritizedReplay(64, alpha=0.9, view=Sequences(num_envs=2, length=5, period=2))
    >>> step = TimeStep(jnp.zeros(4), jnp.int32(0), jnp.float32(0), jnp.bool_(0), jnp.bool_(0))
    >>> state = replay.init(step)
    >>> steps = jax.tree.map(lambda array: jnp.zeros((8, 2, *array.shape), array.dtype), step)
    >>> state = replay.add(state, steps)
    >>> sample = replay.sample(state, jax.random.key(0), 32)
    >>> sample.items.steps.observation.shape, sample.items.first.shape, int(replay.size(state))
    ((32, 5, 4), (32, 5), 4)

    Source: Kapturowski et al. 2019 (R2D2), section 2.3.
    """

    num_envs: int
    length: int
    period: int = 1
    boundaries: Boundaries = "stop"
    autoreset: Autoreset = "same_step"

    def __post_init__(self):
        for name in ("num_envs", "length", "period"):
            object.__setattr__(self, name, require.count(name, getattr(self, name)))
        require.choice("boundaries", self.boundaries, Boundaries)
        require.choice("autoreset", self.autoreset, Autoreset)

    @property
    def rows_after(self) -> int:
        """Ring rows after a start that are read with it."""
        return self.length - 1

    @property
    def rows_before(self) -> int:
        """Ring rows before a start that are read with it: none."""
        return 0

    def check_capacity(self, capacity: int) -> None:
        """Refuses a ring that cannot hold this view."""
        checks.check_ring(self, capacity, self.length, "length")

    def check_storage(self, storage: Any) -> None:
        """Refuses a storage that was made under another view."""
        stream_views.check_storage(self, storage)

    def without_discount(self) -> "Sequences":
        """Returns the view itself: a sequence has no discount."""
        return self

    def init(self, item: Any, capacity: int, *, memory_kind: str | None = None) -> Stream:
        """Makes an empty stream; `item` is one step of one environment, a `TimeStep`."""
        return stream.init(self, item, capacity, memory_kind=memory_kind)

    def init_discount(self, discount: ArrayLike | None) -> tuple[()]:
        """Returns (): a sequence has no discount."""
        return require.no_discount(self, discount)

    write = append.append

    def init_count(self) -> Array:
        """Returns a count after which the first row counts as 0, uint32 [num_envs]."""
        return jnp.full(self.num_envs, self.period - 1, jnp.uint32)

    def mark_starts(self, flags: Array, count: Array) -> tuple[Array, Array]:
        """Tells which new rows, of flags [T, num_envs], may be starts; and counts the last row."""
        if self.boundaries == "cross":
            begins, allowed = jnp.zeros(flags.shape, bool), jnp.ones(flags.shape, bool)
        else:
            begins = episode_flags.any_set(flags, episode_flags.FIRST)
            allowed = ~episode_flags.any_set(flags, episode_flags.IGNORED)
        counts = _count_rows(count, begins, self.period)
        return (counts == 0) & allowed, jnp.concatenate([count[None], counts])[-1]

    def can_start(self, flags: Array) -> Array:
        """Tells whether rows of these flags are starts, once all that they need is stored."""
        return episode_flags.any_set(flags, episode_flags.START)

    def read(
        self, storage: Stream, slots: Array, *, key: Array | None, discount: tuple[()]
    ) -> Sequence:
        """Returns the sequences that start at `slots`, int32 [B]."""
        column = jnp.arange(self.length, dtype=jnp.int32)[None]
        at = stream.slots_ahead(storage, slots[:, None], column)
        at = compute_once(at, after=slots)
        flags = compute_once(stream.read_flags(storage, at), after=at)
        if self.boundaries == "cross":
            mask = ~episode_flags.any_set(flags, episode_flags.IGNORED)
        else:
            end = jnp.where(episode_flags.is_end(flags), column, self.length)
            mask = column <= jnp.min(end, axis=1, keepdims=True)
        read = stream.read(storage, at, "observation", "action", "reward", "extras")
        read = read._replace(
            terminated=episode_flags.any_set(flags, episode_flags.TERMINATED),
            truncated=episode_flags.any_set(flags, episode_flags.TRUNCATED),
        )
        return Sequence(read, mask, first=episode_flags.any_set(flags, episode_flags.FIRST))


def _count_rows(before: Array, begins: Array, period: int) -> Array:
    """Counts rows since one that `begins`, modulo `period`, uint32 [T, num_envs].

    Args:
      before: uint32 [num_envs], the count of the row before.
      begins: bool [T, num_envs].
      period: at most 2^31 - 1.
    """
    row = np.arange(len(begins), dtype=np.int32)[:, None]
    began = jax.lax.cummax(jnp.where(begins, row, -1))
    since = before[None] + np.uint32(1) + (row % period).astype(np.uint32)
    since = jnp.where(began < 0, since, (row - began).astype(jnp.uint32))
    return since % np.uint32(period)


def sequence_priority(td_errors: ArrayLike, mask: ArrayLike, eta: ArrayLike = 0.9) -> Array:
    """Computes the priority of each sequence from the TD errors of its steps.

        p = eta * max_t |error_t| + (1 - eta) * mean_t |error_t|

    Args:
      td_errors: real [..., length].
      mask: bool, of the same shape: the steps that count.
      eta: between the mean (0) and the largest (1).

    Returns:
      float32 [...]; 0 for a sequence in which no step counts.

    Raises:
      ValueError: shapes differ, or the mask is not bool.

    >>> errors = jnp.array([[1.0, -3.0, 9.0], [1.0, 1.0, 1.0]])
    >>> mask = jnp.array([[True, True, False], [False, False, False]])
    >>> sequence_priority(errors, mask, eta=0.5).tolist()
    [2.5, 0.0]

    Source: Kapturowski et al. 2019 (R2D2), section 2.3.
    """
    errors = jnp.abs(require.real("td_errors", td_errors).astype(jnp.float32))
    mask = require.boolean("mask", mask)
    eta = require.scalar_copy("eta", eta, require.fraction)
    require.same_shape("mask", mask, "td_errors", errors)
    if errors.ndim == 0:
        raise ValueError("td_errors must have shape [..., length], got ()")
    errors = jnp.where(mask, errors, 0)
    count = jnp.sum(mask, axis=-1, keepdims=True, dtype=jnp.float32)
    mean = jnp.sum(errors / jnp.maximum(count, 1), axis=-1)
    return eta * jnp.max(errors, axis=-1, initial=0) + (1 - eta) * mean
