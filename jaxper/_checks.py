"""What is refused before anything runs: each error names what was expected and what was got."""

import math
import operator
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer
from jax.typing import ArrayLike

LARGEST_CAPACITY = 2**31 - 1


def capacity(value: Any) -> int:
    """An int in [1, 2^31 - 1]."""
    number = _integer("capacity", value)
    if not 1 <= number <= LARGEST_CAPACITY:
        raise ValueError(f"capacity must be from 1 to {LARGEST_CAPACITY} (2^31 - 1), got {value}")
    return number


def batch_size(value: Any) -> int:
    """An int of at least 1."""
    number = _integer("batch_size", value)
    if number < 1:
        raise ValueError(f"batch_size must be at least 1, got {value}")
    return number


def not_negative(name: str, value: Any) -> float:
    """A finite number >= 0, as a float."""
    try:
        number = math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a finite number and at least 0, got {value!r}")
    return number


def choice(name: str, value: Any, options: tuple[str, ...]) -> None:
    """One of `options`."""
    if not isinstance(value, str) or value not in options:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, options))}, got {value!r}")


def scalar(name: str, value: ArrayLike) -> Array:
    """A real number as float32 []."""
    array = _real(name, value)
    if array.shape != ():
        raise ValueError(f"{name} must be one number, shape (), got shape {array.shape}")
    return array.astype(jnp.float32)


def alpha(value: ArrayLike) -> Array:
    """An exponent as float32 [], a copy: donating it leaves the caller's array alone."""
    array = scalar("alpha", value)
    if not isinstance(array, Tracer):
        not_negative("alpha", array)
    return jnp.array(array)


def integers(name: str, values: ArrayLike) -> Array:
    """Integers of any shape."""
    array = jnp.asarray(values)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers, got {array.dtype}")
    return array


def item_spec(item: Any) -> Any:
    """Shape and dtype of each leaf of one item."""
    spec = jax.eval_shape(lambda leaves: leaves, item)
    if not jax.tree.leaves(spec):
        raise ValueError(f"an item needs at least one array, got {item!r}")
    return spec


def items(batch: Any, storage: Any, capacity: int) -> int:
    """The number of rows B of `batch`, whose leaves [B, ...] must fit those of `storage`."""
    _same_structure(batch, storage)
    count = None
    leaves = jax.tree_util.tree_leaves_with_path(item_spec(batch))
    for (path, got), stored in zip(leaves, jax.tree.leaves(storage), strict=True):
        count = _rows_like(path, got, stored, count)
    assert count is not None
    if count > capacity:
        raise ValueError(
            f"one add takes at most capacity = {capacity} items, got {count}; add them in parts"
        )
    return count


def ids(values: ArrayLike) -> Array:
    """uint32 [B] from uint32 or int32 [B]."""
    array = jnp.asarray(values)
    if array.dtype not in (jnp.uint32, jnp.int32):
        raise ValueError(f"ids must be uint32 or int32, as sample gives them, got {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"ids must have shape [B], got {array.shape}; write ids.reshape(-1)")
    return array.astype(jnp.uint32)


def priorities(values: ArrayLike, count: int) -> Array:
    """float32 [count] from any real dtype."""
    array = _real("priorities", values)
    _vector("priorities", array, count)
    return array.astype(jnp.float32)


def mask(values: ArrayLike, count: int) -> Array:
    """A bool [count]."""
    array = jnp.asarray(values)
    if array.dtype != jnp.bool_:
        raise ValueError(f"mask must be bool, got {array.dtype}; write mask.astype(bool)")
    _vector("mask", array, count)
    return array


def same_shape(name: str, array: Array, other_name: str, other: Array) -> None:
    """Both arrays have one shape."""
    if array.shape != other.shape:
        raise ValueError(
            f"{name} must have the shape of {other_name}, {other.shape}, got {array.shape}"
        )


def _integer(name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise ValueError(
            f"{name} must be an integer known when tracing, got {value!r}; "
            f"mark it as static where it is an argument of a jitted function"
        ) from None


def _real(name: str, values: ArrayLike) -> Array:
    array = jnp.asarray(values)
    if not (jnp.issubdtype(array.dtype, jnp.integer) or jnp.issubdtype(array.dtype, jnp.floating)):
        raise ValueError(f"{name} must be real, got {array.dtype}; for |TD errors| write jnp.abs")
    return array


def _vector(name: str, array: Array, count: int) -> None:
    if array.shape != (count,):
        raise ValueError(
            f"{name} must have one entry per row, shape ({count},), got {array.shape}; "
            f"for one value in all rows write jnp.full({count}, value)"
        )


def _same_structure(batch: Any, storage: Any) -> None:
    expected, got = jax.tree.structure(storage), jax.tree.structure(batch)
    if expected != got:
        differing = sorted(_paths(storage) ^ _paths(batch))
        raise ValueError(
            f"items must have the structure given to init, {expected}, got {got}; "
            f"only one of them has {', '.join(differing) or 'such containers'}"
        )


def _paths(tree: Any) -> set[str]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {f"items{jax.tree_util.keystr(path)}" for path, _ in leaves}


def _rows_like(path: Any, got: Any, stored: Any, count: int | None) -> int:
    """Rows of one leaf, which must be `count` where another leaf has set it."""
    rows = "B" if count is None else count
    expected = ", ".join(map(str, (rows, *stored.shape[1:])))
    ranks_fit = got.ndim == stored.ndim and got.shape[1:] == stored.shape[1:]
    if not ranks_fit or count not in (None, got.shape[0]):
        hint = ""
        if got.shape == stored.shape[1:]:
            hint = "; for one item write jax.tree.map(lambda leaf: leaf[None], item)"
        raise ValueError(
            f"items{jax.tree_util.keystr(path)} must have shape [{expected}], "
            f"got {list(got.shape)}{hint}"
        )
    if got.dtype != stored.dtype:
        raise ValueError(
            f"items{jax.tree_util.keystr(path)} must have dtype {stored.dtype}, as given to init, "
            f"got {got.dtype}; cast it yourself if that loses nothing"
        )
    return got.shape[0]
