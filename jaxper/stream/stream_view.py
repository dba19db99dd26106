"""The protocol of a view of a stream: the questions that a stream asks it."""

from typing import Any, Protocol

from jax import Array

from jaxper.stream.episode_flags import Autoreset


class StreamView(Protocol):
    """A view of a stream: how many rows a draw reads, and at which steps it may begin.

    `views/transitions.py` is an example that counts nothing, `views/sequences.py` one that does.
    """

    @property
    def num_envs(self) -> int:
        """Environments in lockstep: the steps of one ring row."""
        ...

    @property
    def autoreset(self) -> Autoreset:
        """The content of the row after an end, see `Autoreset`."""
        ...

    @property
    def rows_before(self) -> int:
        """Ring rows before a start that a draw reads too."""
        ...

    @property
    def rows_after(self) -> int:
        """Ring rows after a start that a draw reads too."""
        ...

    def without_discount(self) -> Any:
        """Returns the view as the state keeps it: its discount is an array of the state."""
        ...

    def init_count(self) -> Any:
        """Returns the count of an empty stream: arrays [num_envs], or () if nothing is counted."""
        ...

    def mark_starts(self, flags: Array, count: Any) -> tuple[Array, Any]:
        """Tells which new rows may be starts, as far as is known when they are added.

        Args:
          flags: uint8 [T, num_envs], flags of the new rows, see `episode_flags`.
          count: the count of the row before them.

        Returns:
          bool [T, num_envs], and the count of the last row.
        """
        ...

    def can_start(self, flags: Array) -> Array:
        """Tells whether rows of these flags are starts, once all that they need is stored; bool."""
        ...
