"""What a draw returns: the sample, and the view that builds its items from what is stored."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxper import _check_items, _checks, ring
from jaxper.sequences import Sequences
from jaxper.transitions import Transitions


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
        return ring.allocate(_check_items.item_spec(item), capacity)

    def init_discount(self, discount: ArrayLike | None) -> tuple[()]:
        """What the state holds: nothing."""
        return _checks.no_discount(self, discount)

    def check(
        self, storage: Any, items: Any, priorities: ArrayLike | None, mask: ArrayLike | None
    ) -> tuple[Array | None, Array | None]:
        """Refuses what cannot be added; gives priorities, float32 [B], and mask, bool [B]."""
        rows = _check_items.rows("items", items, storage, "B")
        capacity = len(jax.tree.leaves(storage)[0])
        if rows > capacity:
            raise ValueError(
                f"one add takes at most capacity = {capacity} items, got {rows}; add them in parts"
            )
        return (
            None if priorities is None else _checks.priorities(priorities, rows),
            None if mask is None else _checks.mask(mask, (rows,)),
        )

    def write(
        self, storage: Any, next_id: Array, stored: Array, items: Any, mask: Array | None
    ) -> tuple[Any, ring.Changes]:
        """Stores items, leaves [B, ...], but for those where `mask` is False."""
        rows, capacity = (len(jax.tree.leaves(leaves)[0]) for leaves in (items, storage))
        slots = ring.next_slots(next_id, rows, mask, capacity)
        count = jnp.sum(slots != ring.NO_SLOT, dtype=jnp.uint32)
        changes = ring.Changes(count, slots, live=jnp.ones(rows, bool))
        return ring.write(storage, slots, items), changes

    def read(self, storage: Any, discount: tuple[()], slots: Array) -> Any:
        """The items at `slots`, int32 [B]."""
        return ring.read(storage, slots)


View = Items | Transitions | Sequences


def check(view: Any, capacity: int) -> None:
    """Refuses what is no view, and a stream that does not fit the ring."""
    if not isinstance(view, View):
        raise ValueError(f"view must be a view such as jaxper.Items(), got {view!r}")
    if not isinstance(view, Items):
        view.fit(capacity)
