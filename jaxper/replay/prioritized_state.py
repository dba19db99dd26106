"""The state of a `PrioritizedReplay`."""

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxper.tree.core import SumTree


class PrioritizedState(NamedTuple):
    """The state of a `PrioritizedReplay`: a pytree of arrays."""

    next_id: Array  # uint32 [], id of the next item
    max_priority: Array  # float32 [], largest priority since the last reset
    alpha: Array  # float32 [], exponent of the leaves written from now on
    rejected: Array  # uint32 [], priorities that were NaN, infinite or negative; saturates
    stale: Array  # uint32 [], rows ignored because the id was gone or not live; saturates
    discount: Any  # float32 [], of the steps folded into a transition; () under another view
    stored: Array  # int32 [], slots that hold an item
    tree: SumTree  # one leaf per slot
    storage: Any  # the items as the view keeps them: `Records`, or a `Stream`

    def merge_counters(self, part: Array) -> "PrioritizedState":
        """Returns the first of several states, arrays [k, ...], with what was counted in all.

        If it is split into parts, part 0 keeps the counters, so that their sums stay the same.
        """
        first = jax.tree.map(lambda array: array[0], self)
        return first._replace(
            max_priority=jnp.max(self.max_priority),
            rejected=jnp.where(part == 0, reduce(saturating_add, self.rejected), 0),
            stale=jnp.where(part == 0, reduce(saturating_add, self.stale), 0),
        )


def saturating_add(counter: Array, more: Array) -> Array:
    """Adds to a uint32 counter, held at the largest uint32."""
    return jnp.where(more > ~counter, ~jnp.uint32(0), counter + more)
