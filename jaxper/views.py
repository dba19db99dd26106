"""What a draw returns: the sample, and the view that builds its items from what is stored."""

import dataclasses
from typing import Any, NamedTuple

import jax
from jax import Array

from jaxper import _checks, ring


class Sample(NamedTuple):
    """A batch that was drawn.

    Where the replay was empty, `probabilities` and `weights` are 0 and `ids` are 2^32 - 1.
    """

    items: Any  # leaves [batch_size, ...]
    ids: Array  # uint32 [batch_size], for update_priorities
    probabilities: Array  # float32 [batch_size], chance of each item to be one draw
    weights: Array  # float32 [batch_size], importance-sampling weights for the loss


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Items:
    """The plain view: a draw returns an item as it was added.

    >>> from jaxper import Items, UniformReplay
    >>> UniformReplay(8, view=Items()) == UniformReplay(8)
    True
    """

    def init(self, item: Any, capacity: int) -> Any:
        """Empty storage, leaves [capacity, ...]."""
        return ring.allocate(_checks.item_spec(item), capacity)

    def write(self, storage: Any, slots: Array, items: Any) -> Any:
        """Stores rows [B, ...] at `slots`, uint32 [B]."""
        return ring.write(storage, slots, items)

    def read(self, storage: Any, slots: Array) -> Any:
        """The rows at `slots`, int32 [B]."""
        return ring.read(storage, slots)


def check(view: Any) -> None:
    """Refuses what is no view."""
    if not isinstance(view, Items):
        raise ValueError(f"view must be a view such as jaxper.Items(), got {view!r}")
