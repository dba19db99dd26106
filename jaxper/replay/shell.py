"""The methods that all replays share."""

from functools import partial
from typing import Any, Generic

import jax
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require
from jaxper.replay.sample import ItemsT
from jaxper.replay.types import State
from jaxper.storage import ring
from jaxper.stream.cut import cut
from jaxper.views.view import View


class ReplayShell(Generic[ItemsT]):
    """The methods of a replay that do not depend on its law of drawing."""

    capacity: int
    view: View[ItemsT]

    def _check(self, state: Any) -> None:
        """Refuses a state that is not one of this replay."""
        raise NotImplementedError

    def init(self, item: Any) -> Any:
        """Makes an empty state."""
        raise NotImplementedError

    def _init_storage(self, item: Any) -> Any:
        """Makes the empty storage of a state."""
        return self.view.init(item, self.capacity)

    def get(self, state: Any, ids: ArrayLike) -> ItemsT:
        """Returns the items of ids, arrays [B, ...]; for a stale id the item now in its slot."""
        self._check(state)
        return read_ids(state, require.ids(ids), view=self.view, capacity=self.capacity)

    def cut(self, state: Any) -> Any:
        """Returns the state with a break in its stream: see `jaxper.cut`."""
        self._check(state)
        return cut(state)

    def nbytes(self, item: Any) -> int:
        """Returns the bytes that `init(item)` will take.

        >>> gigabyte = 2**30
        >>> image = jax.ShapeDtypeStruct((84, 84, 4), jnp.uint8)
        >>> round(PrioritizedReplay(2**20).nbytes(image) / gigabyte, 2)
        27.57
        """
        arrays = jax.tree.leaves(jax.eval_shape(self.init, item))
        return sum(array.size * array.dtype.itemsize for array in arrays)


@partial(jax.jit, inline=True, static_argnames=("view", "capacity"))
def read_ids(state: State, ids: Array, *, view: View[ItemsT], capacity: int) -> ItemsT:
    """Reads what a draw of these ids, uint32 [B], would return; the view gets no random key."""
    slots = ring.slot_of(ids, capacity)
    return view.read(state.storage, slots, key=None, discount=state.discount)
