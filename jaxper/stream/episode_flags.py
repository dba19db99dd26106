"""The byte that a stream keeps with each step: how episodes begin and end, and where draws start.

A step *ended* where either flag is set. An *ignored* row follows an end and holds nothing but the
final observation (`autoreset="next_step"`). A *cut* step ended without terminating, and its next
observation is not stored.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

Autoreset = Literal["same_step", "next_step"]

TERMINATED = np.uint8(1)  # as given; of an ignored row it is never read
TRUNCATED = np.uint8(2)  # as given, or set by a break; likewise
IGNORED = np.uint8(4)
CUT = np.uint8(8)
FIRST = np.uint8(16)  # the first step of an episode
LAST = np.uint8(32)  # the next row begins an episode
START = np.uint8(64)  # a draw may start here once all that it reads is stored


def has(flags: Array, bit: np.uint8) -> Array:
    """Whether any of the bits is set, bool."""
    return (flags & bit) != 0


def mark(rows: Array, bit: np.uint8) -> Array:
    """Flags with the bits set in `rows`, a bool."""
    return jnp.where(rows, bit, np.uint8(0))


def ended(flags: Array) -> Array:
    """Whether rows that are not ignored are the last of their episode, bool."""
    return has(flags, TERMINATED | TRUNCATED)


def of_rows(prior: Array, terminated: Array, truncated: Array, autoreset: str) -> Array:
    """The flags, but for `START`, of rows that follow one with flags `prior`.

    Args:
      prior: uint8 [num_envs].
      terminated: bool [T, num_envs].
      truncated: bool [T, num_envs].
      autoreset: what the row after an end holds.

    Returns:
      uint8 [T, num_envs].
    """
    flags = mark(terminated, TERMINATED) | mark(truncated, TRUNCATED)
    if autoreset == "same_step":
        flags |= mark(ended(flags), LAST) | mark(truncated & ~terminated, CUT)
    else:
        after_end = ended(prior) & ~has(prior, LAST)
        flags |= mark(_ignored(after_end, terminated | truncated), IGNORED | LAST)
    before = jnp.concatenate([prior[None], flags])[:-1]
    return flags | mark(has(before, LAST), FIRST)


def _ignored(after_end: Array, flagged: Array) -> Array:
    """Which rows are ignored, bool [T, num_envs], where row 0 is if it comes `after_end`.

    Each later row is ignored if the row before it is flagged and not ignored itself: every second
    row of a run that began with a row after one without flags.
    """
    row = np.arange(len(flagged), dtype=np.int32)[:, None]
    unflagged_before = jnp.concatenate([jnp.zeros_like(flagged[:1]), ~flagged[:-1]])
    began = jax.lax.cummax(jnp.where(unflagged_before, row, 0))
    return ((row - began) % 2 == 1) ^ (after_end[None] & (began == 0))


def broken(flags: Array) -> Array:
    """The flags of rows after which the stream breaks: a step that did not terminate is cut."""
    step = ~has(flags, TERMINATED | IGNORED)
    return flags | LAST | mark(step, TRUNCATED | CUT)
