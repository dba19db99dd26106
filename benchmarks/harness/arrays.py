"""Facts about pytrees of arrays."""

from typing import Any

import jax


def nbytes(arrays: Any) -> int:
    """Returns the size of all arrays of a pytree, in bytes."""
    return sum(array.size * array.dtype.itemsize for array in jax.tree.leaves(arrays))
