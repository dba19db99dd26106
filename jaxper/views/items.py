"""What a draw returns: the sample, and the view that builds its items from what is stored.

A replay calls its view for `init` and `init_discount` (what the state holds of it), `check` and
`write` (of an add), and `read` (of a draw). What a stream asks of its views stands in `stream`.
"""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require
from jaxper.checks.items import check_rows, item_spec
from jaxper.storage import records, ring, rows
from jaxper.storage.records import Records
from jaxper.tree import levels
from jaxper.views.sequences import Sequences
from jaxper.views.transitions import Transitions


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

    def init(self, item: Any, capacity: int) -> Records:
        """Empty storage."""
        return records.init(item_spec(item), capacity)

    def init_discount(self, discount: ArrayLike | None) -> tuple[()]:
        """What the state holds: nothing."""
        return require.no_discount(self, discount)

    def check(
        self, storage: Records, items: Any, priorities: ArrayLike | None, mask: ArrayLike | None
    ) -> tuple[Array | None, Array | None]:
        """Refuses what cannot be added; gives priorities, float32 [B], and mask, bool [B]."""
        count = check_rows("items", items, records.expected(storage), "B")
        capacity = len(storage.words)
        if count > capacity:
            raise ValueError(
                f"one add takes at most capacity = {capacity} items, got {count}; add them in parts"
            )
        return (
            None if priorities is None else require.priorities(priorities, count),
            require.mask(mask, (count,)),
        )

    def write(
        self, storage: Records, next_id: Array, stored: Array, items: Any, mask: Array | None
    ) -> tuple[Records, ring.Changes]:
        """Stores items, leaves [B, ...], but for those where `mask` is False."""
        added = len(jax.tree.leaves(items)[0])
        capacity = len(storage.words)
        slots = ring.next_slots(next_id, added, mask, capacity)
        changes = ring.Changes(
            count=jnp.uint32(added if mask is None else jnp.sum(mask, dtype=jnp.uint32)),
            slots=slots,
            live=jnp.ones((added, 1), bool),
            groups=levels.groups_of(next_id % np.uint32(capacity), added, capacity),
        )
        return rows.write(storage, slots, items), changes

    def read(self, storage: Records, discount: tuple[()], slots: Array) -> Any:
        """The items at `slots`, int32 [B]."""
        return rows.read(storage, slots)


View = Items | Transitions | Sequences


@partial(jax.jit, inline=True)
def get(replay: Any, state: Any, ids: Array) -> Any:
    """The items in the slots of ids, uint32 [B], of either replay."""
    return replay.view.read(state.storage, state.discount, ring.slot_of(ids, replay.capacity))


def check(view: Any, capacity: int) -> None:
    """Refuses what is no view, and a stream that does not fit the ring."""
    if not isinstance(view, View):
        called = f"; write {view.__name__}(...)" if isinstance(view, type) else ""
        raise ValueError(f"view must be a view such as jaxper.Items(), got {view!r}{called}")
    if not isinstance(view, Items):
        view.fit(capacity)
