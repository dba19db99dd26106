"""The way from the root of a wide tree to the leaves that masses fall on, level by level."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering.gather import gather_columns
from jaxper.lowering.trail import Trail
from jaxper.tree import levels
from jaxper.tree.levels import GROUP


def descend(
    stored_levels: Sequence[Array], mass: Array, fine: Array, after: Array
) -> tuple[Array, Array]:
    """Finds the leaf at `mass + fine`, a sum of two float32 that one float32 could not hold.

    Args:
      stored_levels: the leaves and the levels of sums above them, float32 [groups, GROUP] each.
      mass: float32 [B]; at or above the total it finds the last leaf above 0.
      fine: float32 [B], at least 0, small beside the total.
      after: an array; the result is not ready before its first number is. Take one that is known
        at about the same time.

    Returns:
      The indices, int32 [B], and the leaves there, float32 [B].
    """
    *unstored, root = levels.compute_unstored(stored_levels[-1], levels.add)
    mass, fine = Trail(after).step(mass, fine)
    trail = Trail(after, buffers=2)
    inside = mass < levels.add(list(root[0]))
    residual = jnp.where(inside, jnp.maximum(mass, 0), jnp.inf)
    node, residual, leaf = _choose_child(list(root[0]), residual, fine)
    for level in (*reversed(unstored), *reversed(stored_levels)):
        node, residual, fine = trail.arrive(level, node, residual, fine)
        child, residual, leaf = _choose_child(gather_columns(level, node), residual, fine)
        node = node * np.uint32(GROUP) + child
    index, leaf = trail.finish(node.astype(jnp.int32), leaf)
    return index, leaf


def _choose_child(
    children: Sequence[Array], residual: Array, fine: Array
) -> tuple[Array, Array, Array]:
    """Chooses the last child above 0 that begins at or before `residual + fine`.

    The residual is walked down child by child: beside a running sum, a heavy child would round away
    the light ones that follow it. Choosing only children above 0 keeps a descent off empty leaves:
    a mass that rounding has carried past the end falls back to the last of them.

    Returns:
      The child, the residual within it, and its value.
    """
    child = jnp.zeros(residual.shape, jnp.uint32)
    value = jnp.zeros(residual.shape, jnp.float32)
    within = left = residual
    for k, candidate in enumerate(children):
        chosen = (candidate > 0) & (left >= -fine)
        child = jnp.where(chosen, np.uint32(k), child)
        within = jnp.where(chosen, left, within)
        value = jnp.where(chosen, candidate, value)
        left = left - candidate
    return child, within, value
