"""The batch that a draw returns."""

from typing import Generic, NamedTuple, TypeVar

from jax import Array

ItemsT = TypeVar("ItemsT")


class Sample(NamedTuple, Generic[ItemsT]):
    """A batch that was drawn.

    If the replay was empty, `probabilities` and `weights` are 0 and `ids` are 2^32 - 1.
    """

    items: ItemsT  # a pytree, arrays [batch_size, ...]
    ids: Array  # uint32 [batch_size], for update_priorities
    probabilities: Array  # float32 [batch_size], chance of each item to be one draw
    weights: Array  # float32 [batch_size], importance-sampling weights for the loss
