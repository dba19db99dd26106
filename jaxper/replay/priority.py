"""From the priority a user gives to the leaf that the tree holds."""

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxper.lowering import bits as _bits

SMALLEST_LEAF = 2.0**-100
LARGEST_TOTAL = 2.0**126

_LARGEST_FLOAT = np.uint32(0x7F7FFFFF)
_SMALLEST_NORMAL = np.uint32(0x00800000)
_MINUS_ZERO = np.uint32(0x80000000)


def is_priority(priority: Array) -> Array:
    """Whether each float32 is finite and not negative, bool.

    It reads the bits: backends that flush subnormal numbers to 0 would take -1e-40 for 0.
    """
    bits = _bits.of(priority)
    return (bits <= _LARGEST_FLOAT) | (bits == _MINUS_ZERO)


def leaf_of(priority: Array, alpha: Array, epsilon: float, capacity: int) -> Array:
    """What the sum tree holds for each priority.

        leaf = clip((priority + epsilon)^alpha, 2^-100, 2^126 / capacity)

    and 0, not drawable, for priority 0 where epsilon is 0 and alpha above 0.

    Args:
      priority: float32 [B], finite and at least 0.
      alpha: float32 []; 0 makes all leaves equal, 1 proportional to the priority.
      epsilon: keeps an item of priority 0 drawable.
      capacity: number of leaves, which bounds each so that the total stays finite.

    Source: Schaul et al. 2016, section 3.3, equation 1.
    """
    priority = jnp.abs(priority)  # -0.0 is 0
    base = priority + np.float32(epsilon) if epsilon else priority
    normal = np.float32(epsilon) >= np.finfo(np.float32).tiny  # then the base is too
    leaf = base**alpha if normal else _power(base, alpha)
    leaf = jnp.where(leaf > SMALLEST_LEAF, leaf, SMALLEST_LEAF)  # so written, NaN does not pass
    leaf = jnp.minimum(leaf, LARGEST_TOTAL / capacity)
    retired = (_bits.of(priority) == 0) & (epsilon == 0) & (alpha > 0)
    return jnp.where(retired, 0, leaf)


def _power(base: Array, alpha: Array) -> Array:
    """base^alpha for base >= 0, also of subnormal bases where a backend flushes them to 0."""
    bits = _bits.of(base)
    log_subnormal = jnp.log2(jnp.maximum(bits, 1).astype(jnp.float32)) - 149
    return jnp.where(bits < _SMALLEST_NORMAL, jnp.exp2(alpha * log_subnormal), base**alpha)
