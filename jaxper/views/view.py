"""The protocol of a view: everything that a new one has to provide."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from jax import Array
from jax.typing import ArrayLike

from jaxper.storage.ring import Changes

ItemsT_co = TypeVar("ItemsT_co", covariant=True)


@runtime_checkable
class View(Protocol[ItemsT_co]):
    """Says what is stored of the items and what a draw returns.

    A view is a frozen dataclass under `jax.tree_util.register_static`: it holds no arrays, hashes
    and compares. `views/items.py` is the plainest one. The view of a stream also answers the
    questions of `stream/stream_view.py`.
    """

    @property
    def all_live(self) -> bool:
        """Whether every stored item can be drawn, so that a uniform draw needs no tree."""
        ...

    @property
    def takes_priorities(self) -> bool:
        """Whether `add` takes a priority for each item."""
        ...

    @property
    def slots_per_row(self) -> int:
        """Slots that an add writes as one: 1, or the environments of a stream."""
        ...

    @property
    def rows_before(self) -> int:
        """Ring rows before a slot that a draw of it reads too."""
        ...

    @property
    def rows_after(self) -> int:
        """Ring rows after a slot that a draw of it reads too."""
        ...

    @property
    def draws_randomly(self) -> bool:
        """Whether `read` needs a random key."""
        ...

    def check_capacity(self, capacity: int, /) -> None:
        """Refuses a ring that cannot hold this view."""
        ...

    def check_storage(self, storage: Any, /) -> None:
        """Refuses a storage that was made under another view."""
        ...

    def init(self, item: Any, capacity: int, /, *, memory_kind: str | None = None) -> Any:
        """Makes an empty storage for items like `item`, with the property `capacity`.

        See `storage.records.init` for `memory_kind`.
        """
        ...

    def init_discount(self, discount: ArrayLike | None, /) -> Any:
        """Returns the discount that the state holds, float32 [], or () if there is none."""
        ...

    def item_spec(self, storage: Any, /) -> Any:
        """Returns the shapes and dtypes of the item that the storage was made for."""
        ...

    def check(
        self, storage: Any, items: Any, priorities: ArrayLike | None, mask: ArrayLike | None, /
    ) -> tuple[Array | None, Array | None]:
        """Refuses items that cannot be added; returns priorities, float32 [B], and mask, bool."""
        ...

    def write(
        self, storage: Any, next_id: Array, fill: Array, items: Any, mask: Array | None, /
    ) -> tuple[Any, Changes]:
        """Stores items, and returns the storage and the slots that changed.

        Args:
          storage: the storage.
          next_id: uint32 [], the id of the first new item.
          fill: int32 [], how many slots hold something.
          items: a pytree that `check` has passed.
          mask: the mask that `check` returned.
        """
        ...

    def read(self, storage: Any, slots: Array, /, *, key: Array | None, discount: Any) -> ItemsT_co:
        """Reads the items of a draw at `slots`, int32 [B].

        Args:
          storage: the storage.
          slots: int32 [B].
          key: a random key if the view `draws_randomly`; None in `get`.
          discount: the discount that the state holds.
        """
        ...

    def take_rows(self, storages: Any, take: Callable[[Array], Array], /) -> Any:
        """Makes a storage from the rows of several; see `storage.records.take_rows`."""
        ...


def check_view(view: Any, capacity: int) -> None:
    """Refuses an object that is no view, and a view that does not fit the ring."""
    if isinstance(view, type) or not isinstance(view, View):
        missing = ", ".join(
            name for name in dir(View) if name[0] != "_" and not hasattr(view, name)
        )
        hint = f"write {view.__name__}(...)" if isinstance(view, type) else f"it lacks {missing}"
        raise ValueError(f"view must be a view such as jaxper.Items(), got {view!r}; {hint}")
    view.check_capacity(capacity)


def check_same(made_under: Any, wanted: Any) -> None:
    """Refuses a state that was made under another view."""
    if made_under != wanted:
        raise ValueError(
            f"the state was made under view={_describe(made_under, wanted)}, this replay has "
            f"view={_describe(wanted, made_under)}; use the replay that made it, or make a state "
            f"with replay.init(item)"
        )


def _describe(view: Any, other: Any) -> str:
    """Prints a view with those of its fields in which another one differs."""
    fields = {field.name: getattr(view, field.name) for field in dataclasses.fields(view)}
    if type(view) is type(other):
        fields = {name: value for name, value in fields.items() if value != getattr(other, name)}
    fields.pop("discount", None)
    shown = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return f"{type(view).__name__}({shown})"
