"""From the root of a wide tree to the leaves that masses fall on, level by level."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering.gather import touched
from jaxper.lowering.in_place import apart, computed_once
from jaxper.tree import levels
from jaxper.tree.levels import GROUP

FAR = 2**19  # leaves or sums: so many lie outside of the caches near a core


def descend(
    scratch: Array, stored: Sequence[Array], mass: Array, fine: Array
) -> tuple[Array, Array]:
    """Finds the leaf at `mass + fine`, a sum of two float32 that one float32 could not hold.

    Args:
      scratch: that of `computed_once`.
      stored: the leaves and the levels of sums above them, float32 [groups, GROUP] each.
      mass: float32 [B]; at or above the total it finds the last leaf above 0.
      fine: float32 [B], at least 0, small beside the total.

    Returns:
      The indices, int32 [B], and the leaves there, float32 [B].
    """
    *above, root = levels.above(stored[-1], levels.total)
    mass, fine, _ = computed_once(scratch, mass, fine)
    residual = jnp.where(mass < levels.total(list(root[0])), jnp.maximum(mass, 0), jnp.inf)
    node, residual, leaf = _choose(list(root[0]), residual, fine)
    reads, unread, last = 0, scratch, scratch
    for level in (*reversed(above), *reversed(stored)):
        node, residual, fine = apart(node, residual, fine)
        row, residual, written = computed_once(unread, node, residual, reads=reads)
        unread, last = last, written  # one call later, nothing reads it any more
        if level.size >= FAR:
            row = touched(row, level, columns=(0,))
            row, residual, written = computed_once(unread, row, residual, reads=level.size)
            unread, last = last, written
        child, residual, leaf = _choose(levels.children(level, row), residual, fine)
        node, reads = row * np.uint32(GROUP) + child, level.size
    node, leaf, _ = computed_once(unread, *apart(node.astype(jnp.int32), leaf), reads=reads)
    return node, leaf


def _choose(children: Sequence[Array], residual: Array, fine: Array) -> tuple[Array, Array, Array]:
    """The last child above 0 that begins at or before `residual + fine`.

    What is left of the mass is walked down child by child: beside a running sum, a heavy child
    would round away the light ones that follow it. Taking only children above 0 keeps a descent
    off empty leaves: a mass that rounding has carried past the end falls back to the last of them.

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
