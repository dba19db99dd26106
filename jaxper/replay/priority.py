"""The leaf that the tree holds for the priority that a user gives."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering import bits

SMALLEST_LEAF = 2.0**-100
LARGEST_TOTAL = 2.0**126

_LARGEST_FLOAT = np.uint32(0x7F7FFFFF)
_SMALLEST_NORMAL = np.uint32(0x00800000)
_MINUS_ZERO = np.uint32(0x80000000)


def is_priority(priority: Array) -> Array:
    """Tells whether each float32 is finite and not negative, bool.

    Reads the bits: backends that flush subnormal numbers to 0 would take -1e-40 for 0.
    """
    word = bits.as_bits(priority)
    return (word <= _LARGEST_FLOAT) | (word == _MINUS_ZERO)


def compute_leaf(priority: Array, alpha: Array, epsilon: float, capacity: int) -> Array:
    """Computes the leaf of each priority.

        leaf = clip((priority + epsilon)^alpha, 2^-100, 2^126 / capacity)

    and 0, not drawable, for priority 0 if epsilon is 0 and alpha is above 0.

    Args:
      priority: float32 of any shape, finite and at least 0.
      alpha: float32 []; 0 makes all leaves equal, 1 makes them proportional to the priority.
      epsilon: keeps an item of priority 0 drawable.
      capacity: number of leaves, which bounds each so that the total stays finite.

    Source: Schaul et al. 2016, section 3.3, equation 1.
    """
    # -0.0 becomes 0.
    priority = jnp.abs(priority)
    base = priority + np.float32(epsilon) if epsilon else priority
    base_is_normal = np.float32(epsilon) >= np.finfo(np.float32).tiny
    leaf = base**alpha if base_is_normal else _power(base, alpha)
    # Written as a comparison that a NaN fails, so that it becomes the smallest leaf.
    leaf = jnp.where(leaf > SMALLEST_LEAF, leaf, SMALLEST_LEAF)
    leaf = jnp.minimum(leaf, LARGEST_TOTAL / capacity)
    retired = (bits.as_bits(priority) == 0) & (epsilon == 0) & (alpha > 0)
    return jnp.where(retired, 0, leaf)


def _power(base: Array, alpha: Array) -> Array:
    """Computes base^alpha for base >= 0, also for subnormal bases that a backend flushes to 0."""
    word = bits.as_bits(base)
    log_subnormal = jnp.log2(jnp.maximum(word, 1).astype(jnp.float32)) - 149
    return jnp.where(word < _SMALLEST_NORMAL, jnp.exp2(alpha * log_subnormal), base**alpha)
