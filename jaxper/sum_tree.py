"""A sum tree over plain arrays, for drawing leaves in proportion to their value.

The tree is wide: every node has 16 children that lie side by side in one row, so a descent gathers
one row per level, and a million leaves are five rows deep. Every function is pure; under donation
the writes happen in place.
"""

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require as _require
from jaxper.tree import core as _core
from jaxper.tree.core import SumTree

__all__ = ["SumTree", "find", "get", "init", "minimum", "set", "total"]

SumTree.__module__ = __name__


def init(capacity: int, *, minimum: bool = False) -> SumTree:
    """Makes a tree of `capacity` leaves, all 0.

    Args:
      capacity: number of leaves, from 1 to 2^31 - 1.
      minimum: keep the smallest leaf above 0 as well, for a sixteenth more memory.

    Raises:
      ValueError: `capacity` is out of range.

    >>> from jaxper import sum_tree
    >>> tree = sum_tree.set(sum_tree.init(5), jnp.array([1, 4]), jnp.array([2.0, 6.0]))
    >>> float(sum_tree.total(tree))
    8.0
    """
    return _core.init(_require.count("capacity", capacity), minimum=minimum)


def total(tree: SumTree) -> Array:
    """Sum of all leaves, float32 []."""
    return _core.total(tree)


def minimum(tree: SumTree) -> Array:
    """Smallest of the leaves above 0, float32 []; infinity if there is none.

    Raises:
      ValueError: the tree does not keep it.
    """
    if tree.minima is None:
        raise ValueError("this tree keeps no minimum; write sum_tree.init(capacity, minimum=True)")
    return _core.minimum(tree)


def get(tree: SumTree, indices: ArrayLike) -> Array:
    """Reads the leaves at `indices`, integers of any shape; 0 outside [0, capacity).

    Returns:
      float32 of the shape of `indices`.
    """
    indices = _require.integers("indices", indices)
    return _core.read(tree, indices.ravel()).reshape(indices.shape)


def set(tree: SumTree, indices: ArrayLike, values: ArrayLike) -> SumTree:
    """Writes leaves; if an index occurs more than once, the last value counts.

    Args:
      tree: the tree to write to.
      indices: integers of any shape; those outside [0, capacity), also negative ones, are dropped.
      values: float32 of that shape, finite and at least 0, with a total below 2^127.

    Raises:
      ValueError: `indices` and `values` differ in shape, or the indices are no integers.

    >>> from jaxper import sum_tree
    >>> tree = sum_tree.set(sum_tree.init(3), jnp.array([0, 0, 7]), jnp.array([1.0, 2.0, 4.0]))
    >>> sum_tree.get(tree, jnp.arange(3)).tolist()
    [2.0, 0.0, 0.0]
    """
    values = jnp.asarray(values, jnp.float32)
    _require.same_shape("values", values, "indices", jnp.asarray(indices))
    if not values.size:
        return tree
    indices = _core.drop_outside(tree, _require.integers("indices", indices))
    return _core.write(tree, indices.ravel(), values.ravel())


def find(tree: SumTree, mass: ArrayLike, low: ArrayLike | None = None) -> Array:
    """Finds the leaf where the running sum of the leaves first exceeds each mass.

        find(m) = min {i : leaf_0 + ... + leaf_i > m}

    It is never a leaf of 0 while the total is above 0, whatever the rounding. A mass at or above
    the total finds the last leaf above 0, one below 0 the first. In an empty tree it finds 0.

    Args:
      tree: the tree to search.
      mass: float32 of any shape, in the unit of the leaves.
      low: uint32 of that shape, fresh random bits below those of a float32 uniform: they move each
        mass up by less than 2^-23 of the total, which finds leaves too narrow for one uniform.

    Returns:
      int32 of that shape, indices in [0, capacity).

    Raises:
      ValueError: `low` differs from `mass` in shape.

    >>> from jaxper import sum_tree
    >>> tree = sum_tree.set(sum_tree.init(4), jnp.array([1, 3]), jnp.array([2.0, 1.0]))
    >>> sum_tree.find(tree, jnp.array([0.0, 1.9, 2.0, 3.0])).tolist()
    [1, 1, 3, 3]
    """
    mass = jnp.asarray(mass, jnp.float32)
    fine = jnp.zeros_like(mass)
    if low is not None:
        low = _require.integers("low", low).astype(jnp.uint32)
        _require.same_shape("low", low, "mass", mass)
        unit_interval = (low >> 8).astype(jnp.float32) * 2.0**-24
        fine = unit_interval * (total(tree) * 2.0**-23)
    index, _ = _core.descend(tree, mass.ravel(), fine.ravel())
    return index.reshape(mass.shape)
