"""The byte that a stream keeps with each step: how episodes begin and end, and where draws start.

A step *ended* if it terminated or was truncated. An *ignored* row follows an end and holds nothing
but the final observation (`autoreset="next_step"`). A *cut* step ended without terminating, and its
next observation is not stored.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

# The row after an end: the first observation of the next episode, or the final observation.
Autoreset = Literal["same_step", "next_step"]

# As given. On an ignored row it means nothing.
TERMINATED = np.uint8(1)
# As given, or set by a break of the stream. On an ignored row it means nothing.
TRUNCATED = np.uint8(2)
IGNORED = np.uint8(4)
CUT = np.uint8(8)
# The first step of an episode.
FIRST = np.uint8(16)
# The next row begins an episode.
LAST = np.uint8(32)
# A draw may start here once all that it reads is stored.
START = np.uint8(64)


def any_set(flags: Array, bit: np.uint8) -> Array:
    """Tells whether any of the bits is set, bool."""
    return (flags & bit) != 0


def where(rows: Array, bit: np.uint8) -> Array:
    """Returns flags with the bits set where `rows`, a bool, is True."""
    return jnp.where(rows, bit, np.uint8(0))


def is_end(flags: Array) -> Array:
    """Tells whether rows that are not ignored are the last of their episode, bool."""
    return any_set(flags, TERMINATED | TRUNCATED)


def from_ends(prior: Array, terminated: Array, truncated: Array, autoreset: Autoreset) -> Array:
    """Returns the flags, without `START`, of rows that follow a row with flags `prior`.

    Args:
      prior: uint8 [num_envs].
      terminated: bool [T, num_envs].
      truncated: bool [T, num_envs].
      autoreset: see `Autoreset`.

    Returns:
      uint8 [T, num_envs].
    """
    flags = where(terminated, TERMINATED) | where(truncated, TRUNCATED)
    if autoreset == "same_step":
        flags |= where(is_end(flags), LAST) | where(truncated & ~terminated, CUT)
    else:
        after_end = is_end(prior) & ~any_set(prior, LAST)
        flags |= where(_find_ignored(after_end, terminated | truncated), IGNORED | LAST)
    before = jnp.concatenate([prior[None], flags])[:-1]
    return flags | where(any_set(before, LAST), FIRST)


def _find_ignored(after_end: Array, flagged: Array) -> Array:
    """Tells which rows are ignored, bool [T, num_envs].

    Row 0 is ignored if it comes `after_end`. A later row is ignored if the row before it is flagged
    and not ignored itself: every second row of a run that began after a row without flags.
    """
    row = np.arange(len(flagged), dtype=np.int32)[:, None]
    unflagged_before = jnp.concatenate([jnp.zeros_like(flagged[:1]), ~flagged[:-1]])
    began = jax.lax.cummax(jnp.where(unflagged_before, row, 0))
    return ((row - began) % 2 == 1) ^ (after_end[None] & (began == 0))


def cut_after(flags: Array) -> Array:
    """Breaks the stream after rows of these flags: a step that did not terminate is cut."""
    step = ~any_set(flags, TERMINATED | IGNORED)
    return flags | LAST | where(step, TRUNCATED | CUT)
