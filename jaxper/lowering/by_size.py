"""The choice between two ways to compute the same thing, by the size of a batch."""

from collections.abc import Callable
from typing import Any

import jax
from jax import Array

from jaxper.lowering import limits
from jaxper.lowering.order import vary_like

Way = Callable[..., Any]


def compare_or_claim(
    by_comparison: Way, by_claims: Way, leaves: Array, indices: Array, after: Array
) -> Any:
    """Runs `by_comparison` for few indices, and `by_claims` for many.

    The platform decides how many are few.

    Both take the leaves, the indices and `after`, and return the same pytree of arrays.
    """
    rows = indices.size
    if rows <= limits.ANY_COMPARED_ROWS:
        return by_comparison(leaves, indices, after)
    if rows <= limits.GPU_COMPARED_ROWS:
        leaves = vary_like(leaves, indices)
        return jax.lax.platform_dependent(
            leaves, indices, after, cpu=by_claims, default=by_comparison
        )
    return by_claims(leaves, indices, after)
