"""The break of a stream, made by hand."""

from typing import Any

import jax.numpy as jnp

from jaxper.stream import episode_flags
from jaxper.stream.stream import Stream, newest_row


def cut(state: Any) -> Any:
    """Breaks the stream after its newest row, which the next one then does not continue.

    Call it after environments were reset by hand, or when a run resumes with fresh ones. The newest
    step of each environment becomes a cut step (truncated, with no next observation), whatever
    `autoreset` is, unless it terminated or is an ignored row. The next row begins an episode.

    Args:
      state: a state of a replay whose view is `Transitions` or `Sequences`.

    Returns:
      The state with the break.

    Raises:
      ValueError: the state holds no stream, or is that of many replays.

    >>> replay = UniformReplay(8, view=Transitions(num_envs=1))
    >>> step = TimeStep(jnp.zeros(2), jnp.int32(0), jnp.float32(0), jnp.bool_(0), jnp.bool_(0))
    >>> steps = jax.tree.map(lambda array: array[None, None], step)
    >>> state = replay.add(replay.init(step), steps)
    >>> int(replay.size(replay.add(state, steps))), int(replay.size(replay.add(cut(state), steps)))
    (1, 0)
    """
    stream = getattr(state, "storage", None)
    if not isinstance(stream, Stream):
        raise ValueError(
            f"only a stream can be cut: a state of a replay with view=Transitions(...) or "
            f"view=Sequences(...), got {type(state).__name__} of something else"
        )
    if state.next_id.ndim:
        raise ValueError(
            f"cut takes the state of one replay, got leading axes {state.next_id.shape}; "
            f"write jax.vmap(jaxper.cut)(state)"
        )
    row = newest_row(stream, state.next_id)
    flags = stream.flags[row]
    flags = jnp.where(state.stored > 0, episode_flags.cut_after(flags), flags)
    return state._replace(storage=stream._replace(flags=stream.flags.at[row].set(flags)))
