"""Facts about pytrees of arrays."""

from typing import Any

import jax


def nbytes(arrays: Any) -> int:
    """Returns the size of all arrays of a pytree, in bytes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(arrays))
