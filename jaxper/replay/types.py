"""The protocols of a replay and of its state, for code that takes any of them."""

from collections.abc import Hashable
from typing import Any, ClassVar, Protocol, TypeVar

from jax import Array
from jax.typing import ArrayLike

from jaxper.replay.sample import Sample
from jaxper.replay.shards import AxisName
from jaxper.replay.stats import Stats
from jaxper.tree.core import SumTree
from jaxper.views.view import View


class State(Protocol):
    """The state of a replay: a NamedTuple of arrays."""

    @property
    def next_id(self) -> Array:
        """The id of the next item, uint32 []."""
        ...

    @property
    def discount(self) -> Any:
        """The discount of the steps folded into a transition, float32 []; or ()."""
        ...

    @property
    def stored(self) -> Array:
        """How many slots hold an item, int32 []."""
        ...

    @property
    def tree(self) -> SumTree | None:
        """The sum tree, one leaf per slot; None if no draw needs one."""
        ...

    @property
    def storage(self) -> Any:
        """The items, as the view keeps them."""
        ...

    def merge_counters(self, part: Array) -> Any:
        """Returns one state of several, arrays [k, ...], with counters of all; see `reshard`."""
        ...

    def _replace(self, **fields: Any) -> Any: ...


StateT = TypeVar("StateT", bound=State)


class Replay(Hashable, Protocol):
    """The configuration of a replay, whose methods are pure functions of its state."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def capacity(self) -> int:
        """Number of slots."""
        ...

    @property
    def view(self) -> View:
        """The view: says what is stored and what a draw returns."""
        ...

    @property
    def keeps_minimum(self) -> bool:
        """Whether the tree of its states keeps the smallest leaf above 0."""
        ...

    def init(self, item: Any, *, alpha: Any = None, discount: Any = None) -> Any:
        """Makes an empty state."""
        ...

    def add(self, state: Any, items: Any, *, priorities: Any = None, mask: Any = None) -> Any:
        """Stores a batch of items."""
        ...

    def sample(
        self,
        state: Any,
        key: Array,
        batch_size: int,
        *,
        beta: ArrayLike = 0.4,
        axis_name: AxisName = None,
    ) -> Sample:
        """Draws a batch."""
        ...

    def update_priorities(
        self, state: Any, ids: ArrayLike, priorities: ArrayLike, *, mask: Any = None
    ) -> Any:
        """Sets the priorities of items."""
        ...

    def size(self, state: Any, *, axis_name: AxisName = None) -> Array:
        """Number of live items."""
        ...

    def stats(self, state: Any) -> Stats:
        """Statistics for logging."""
        ...
