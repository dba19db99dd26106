"""The plain view: a draw returns an item as it was added."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import items as item_checks
from jaxper.checks import require
from jaxper.storage import records, ring
from jaxper.storage.records import Records
from jaxper.storage.ring import Changes, Run
from jaxper.views import view


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Items:
    """The plain view: a draw returns an item as it was added.

    >>> from jaxper import Items, UniformReplay
    >>> UniformReplay(8, view=Items()) == UniformReplay(8)
    True
    """

    @property
    def all_live(self) -> bool:
        """True: every stored item can be drawn."""
        return True

    @property
    def takes_priorities(self) -> bool:
        """True: each item may come with a priority."""
        return True

    @property
    def slots_per_row(self) -> int:
        """1: items are written slot by slot."""
        return 1

    @property
    def rows_before(self) -> int:
        """0: an item is read by itself."""
        return 0

    @property
    def rows_after(self) -> int:
        """0: an item is read by itself."""
        return 0

    @property
    def draws_randomly(self) -> bool:
        """False: an item comes back as it is."""
        return False

    def check_capacity(self, capacity: int) -> None:
        """Refuses nothing: items fit every ring."""

    def check_storage(self, storage: Any) -> None:
        """Refuses a storage that was made under another view."""
        if not isinstance(storage, Records):
            view.check_same(storage.view, self)

    def init(self, item: Any, capacity: int, *, memory_kind: str | None = None) -> Records:
        """Makes an empty storage for items like `item`."""
        return records.init(item_checks.item_spec(item), capacity, memory_kind=memory_kind)

    def init_discount(self, discount: ArrayLike | None) -> tuple[()]:
        """Returns (): items have no discount."""
        return require.no_discount(self, discount)

    def item_spec(self, storage: Records) -> Any:
        """Returns the shapes and dtypes of the item that the storage was made for."""
        return records.item_spec(storage)

    def check(
        self, storage: Records, items: Any, priorities: ArrayLike | None, mask: ArrayLike | None
    ) -> tuple[Array | None, Array | None]:
        """Refuses items that cannot be added; returns float32 priorities and a bool mask [B]."""
        count = item_checks.check_rows("items", items, records.batch_spec(storage), "B")
        capacity = storage.capacity
        if count > capacity:
            raise ValueError(
                f"one add takes at most capacity = {capacity} items, got {count}; add them in parts"
            )
        return (
            None if priorities is None else require.priorities(priorities, count),
            require.mask(mask, (count,)),
        )

    def write(
        self, storage: Records, next_id: Array, fill: Array, items: Any, mask: Array | None
    ) -> tuple[Records, Changes]:
        """Stores items, arrays [B, ...], without those where `mask` is False."""
        count = len(jax.tree.leaves(items)[0])
        capacity = storage.capacity
        slots = ring.next_slots(next_id, count, mask, capacity)
        changes = Changes(
            added=jnp.uint32(count if mask is None else jnp.sum(mask, dtype=jnp.uint32)),
            blocks=slots,
            live=jnp.ones((count, 1), bool),
            runs=(Run(next_id % np.uint32(capacity), count),),
        )
        return records.write(storage, slots, items), changes

    def read(self, storage: Records, slots: Array, *, key: Array | None, discount: Any) -> Any:
        """Returns the items at `slots`, int32 [B]."""
        return records.read(storage, slots)

    def take_rows(self, storages: Records, take: Callable[[Array], Array]) -> Records:
        """Makes a storage from the rows of several."""
        return records.take_rows(storages, take)
