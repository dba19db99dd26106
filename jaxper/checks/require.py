"""Checks of arguments, before anything runs: `require.count("capacity", 8)`.

Each function raises a `ValueError` that says how the argument must be, how it is, and what to write
instead if that is clear. `name` is always the word for the argument in the error.
"""

import math
import operator
from collections.abc import Callable
from typing import Any, get_args

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer
from jax.sharding import Mesh
from jax.typing import ArrayLike

LARGEST_INT32 = 2**31 - 1


def count(name: str, value: Any) -> int:
    """Requires an integer in [1, 2^31 - 1], and returns it as an int."""
    number = integer(name, value)
    if not 1 <= number <= LARGEST_INT32:
        raise ValueError(f"{name} must be from 1 to {LARGEST_INT32} (2^31 - 1), got {value}")
    return number


def not_negative(name: str, value: Any) -> float:
    """Requires a finite number that is at least 0, and returns it as a float."""
    number = _to_float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a finite number and at least 0, got {_show(name, value)}")
    return number


def fraction(name: str, value: Any) -> float:
    """Requires a number from 0 to 1, and returns it as a float."""
    number = _to_float(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {_show(name, value)}")
    return number


def choice(name: str, value: Any, options: Any) -> None:
    """Requires one of the strings of `options`, a `Literal` type."""
    allowed = get_args(options)
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def scalar(name: str, value: ArrayLike, check: Callable[[str, Any], float] | None = None) -> Array:
    """Requires one real number, and returns it as float32 [].

    Args:
      name: the word for the argument in errors.
      value: one real number.
      check: a function of this module for the range, called only if the number is not traced.
    """
    array = real(name, value)
    if array.shape != ():
        raise ValueError(f"{name} must be one number, shape (), got shape {array.shape}")
    if check is not None and not isinstance(value, Tracer):
        check(name, value)
    return array.astype(jnp.float32)


def scalar_copy(name: str, value: ArrayLike, check: Callable[[str, Any], float]) -> Array:
    """Requires one real number that may be traced, and returns it as float32 [].

    Args:
      name: the word for the argument in errors.
      value: one real number.
      check: a function of this module for the range, called only if the number is not traced.

    Returns:
      A copy, so that donating it leaves the caller's array alone.
    """
    array = scalar(name, value)
    if not isinstance(array, Tracer):
        check(name, array)
    return jnp.array(array)


def key(value: Any) -> Array:
    """Requires one random key of JAX, of `jax.random.key` or `jax.random.PRNGKey`."""
    if isinstance(value, Array):
        typed = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
        if value.ndim == (0 if typed else 1) and (typed or value.dtype == jnp.uint32):
            return value
        value = f"{value.dtype}{list(value.shape)}"
    raise ValueError(
        f"key must be one random key, got {value}; write replay.sample(state, jax.random.key(0), "
        f"batch_size); with many keys pick one, or sample under jax.vmap"
    )


def axis(axis_name: Any) -> Any:
    """Requires None, or the name of an axis of a surrounding `shard_map`, `pmap` or `vmap`."""
    try:
        hash(axis_name)
        if axis_name is not None:
            jax.lax.axis_size(axis_name)
    except (NameError, TypeError, ValueError):
        raise ValueError(
            f"axis_name must name an axis of the shard_map, pmap or vmap around the call, got "
            f"{axis_name!r}; write for example jax.vmap(step, axis_name='data')"
        ) from None
    return axis_name


def mesh_axis(mesh: Any, axis_name: Any) -> None:
    """Requires a `jax.sharding.Mesh` that has this axis."""
    if not isinstance(mesh, Mesh):
        raise ValueError(
            f"mesh must be a jax.sharding.Mesh, got {type(mesh).__name__}; "
            f'write jax.make_mesh((jax.device_count(),), ("data",))'
        )
    if axis_name not in mesh.axis_names:
        raise ValueError(
            f"axis_name must be an axis of the mesh, {', '.join(map(repr, mesh.axis_names))}, "
            f"got {axis_name!r}; write for example axis_name={mesh.axis_names[0]!r}"
        )


def integers(name: str, values: ArrayLike) -> Array:
    """Requires integers of any shape."""
    array = jnp.asarray(values)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers, got {array.dtype}; write .astype(jnp.int32)")
    return array


def ids(values: ArrayLike) -> Array:
    """Requires uint32 or int32 [B], and returns uint32 [B]."""
    try:
        array = jnp.asarray(values)
    except (OverflowError, TypeError, ValueError):
        raise ValueError(
            f"ids must be an array of uint32 or int32, got {type(values).__name__}; write "
            f"sample.ids, or jnp.asarray(ids, jnp.uint32)"
        ) from None
    if array.dtype not in (jnp.uint32, jnp.int32):
        raise ValueError(f"ids must be uint32 or int32, as sample returns them, got {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"ids must have shape [B], got {array.shape}; write ids.reshape(-1)")
    return array.astype(jnp.uint32)


def priorities(values: ArrayLike, count: int) -> Array:
    """Requires `count` real numbers, and returns float32 [count]."""
    array = real("priorities", values)
    _check_shape("priorities", array, (count,))
    return array.astype(jnp.float32)


def boolean(name: str, values: ArrayLike) -> Array:
    """Requires bools of any shape."""
    array = jnp.asarray(values)
    if array.dtype != jnp.bool_:
        raise ValueError(f"{name} must be bool, got {array.dtype}; write jnp.asarray({name}, bool)")
    return array


def mask(values: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """Requires bools of this shape, or None."""
    if values is None:
        return None
    array = boolean("mask", values)
    _check_shape("mask", array, shape)
    return array


def no_discount(view: Any, discount: ArrayLike | None) -> tuple[()]:
    """Requires None, and returns (): the view adds up no discounted rewards."""
    if discount is not None:
        raise ValueError(
            f"discount is for view=Transitions(...), got {discount} under {view}; leave it out"
        )
    return ()


def same_shape(name: str, array: Array, other_name: str, other: Array) -> None:
    """Requires two arrays of the same shape."""
    if array.shape != other.shape:
        raise ValueError(
            f"{name} must have the shape of {other_name}, {other.shape}, got {array.shape}"
        )


def integer(name: str, value: Any) -> int:
    """Requires an integer that is known when tracing, and returns it as an int."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ValueError(
            f"{name} must be an integer known when tracing, got {value!r}; "
            f"write int(...), and if it is an argument of a jitted function mark it as static"
        ) from None


def real(name: str, values: ArrayLike) -> Array:
    """Requires integers or floats of any shape."""
    try:
        array = jnp.asarray(values)
    except (OverflowError, TypeError, ValueError):
        called = "; call it first, as in schedule(step)" if callable(values) else ""
        raise ValueError(f"{name} must be numbers, got {values!r}{called}") from None
    if not is_real(array.dtype):
        complex_hint = "; write jnp.abs" if jnp.iscomplexobj(array) else ""
        raise ValueError(f"{name} must be real, got {array.dtype}{complex_hint}")
    return array


def is_real(dtype: Any) -> bool:
    """Whether a dtype is one of integers or floats."""
    return jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)


def _to_float(value: Any) -> float:
    """Returns the value as a float, or NaN if it is no number."""
    try:
        return math.nan if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError):
        return math.nan


def _show(name: str, value: Any) -> str:
    """Shows a value in an error; if it is traced, says where a traced one is accepted."""
    if not isinstance(value, Tracer):
        return repr(value)
    instead = f"; write replay.init(item, {name}=...)" if name in ("alpha", "discount") else ""
    return f"a traced value{instead}"


def _check_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        if array.size == math.prod(shape):
            instead = f"write {name}.reshape({shape})"
        else:
            instead = f"for one value in all rows write jnp.full({shape}, value)"
        raise ValueError(
            f"{name} must have one entry per row, shape {shape}, got {array.shape}; {instead}"
        )
