"""What is refused before anything runs: each error names what was expected and what was got."""

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
    """An int in [1, 2^31 - 1]."""
    number = integer(name, value)
    if not 1 <= number <= LARGEST_INT32:
        raise ValueError(f"{name} must be from 1 to {LARGEST_INT32} (2^31 - 1), got {value}")
    return number


def not_negative(name: str, value: Any) -> float:
    """A finite number >= 0, as a float."""
    number = _number(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} must be a finite number and at least 0, got {_got(name, value)}")
    return number


def fraction(name: str, value: Any) -> float:
    """A number from 0 to 1, as a float."""
    number = _number(value)
    if not 0 <= number <= 1:
        raise ValueError(f"{name} must be from 0 to 1, got {_got(name, value)}")
    return number


def choice(name: str, value: Any, options: Any) -> None:
    """Requires one of the strings of `options`, a `Literal` type."""
    allowed = get_args(options)
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")


def scalar(name: str, value: ArrayLike) -> Array:
    """A real number as float32 []."""
    array = real(name, value)
    if array.shape != ():
        raise ValueError(f"{name} must be one number, shape (), got shape {array.shape}")
    return array.astype(jnp.float32)


def traceable(name: str, value: ArrayLike, check: Callable[[str, Any], float]) -> Array:
    """A number as float32 [], checked where it is not traced.

    It is a copy: donating it leaves the caller's array alone.
    """
    array = scalar(name, value)
    if not isinstance(array, Tracer):
        check(name, array)
    return jnp.array(array)


def key(value: Any) -> Array:
    """One random key of JAX, of either kind."""
    if isinstance(value, Array):
        typed = jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
        if value.ndim == (0 if typed else 1) and (typed or value.dtype == jnp.uint32):
            return value
        value = f"{value.dtype}{list(value.shape)}"
    raise ValueError(
        f"key must be one random key, got {value}; write replay.sample(state, jax.random.key(0), "
        f"batch_size), and of many keys one, or jax.vmap"
    )


def axis(axis_name: Any) -> Any:
    """None, or an axis that is bound where the call stands."""
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
    """An axis of the mesh."""
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
    """Integers of any shape."""
    array = jnp.asarray(values)
    if not jnp.issubdtype(array.dtype, jnp.integer):
        raise ValueError(f"{name} must be integers, got {array.dtype}")
    return array


def ids(values: ArrayLike) -> Array:
    """uint32 [B] from uint32 or int32 [B]."""
    try:
        array = jnp.asarray(values)
    except (OverflowError, TypeError, ValueError):
        raise ValueError(
            f"ids must be an array of uint32 or int32, got {type(values).__name__}; write "
            f"sample.ids, or jnp.asarray(ids, jnp.uint32)"
        ) from None
    if array.dtype not in (jnp.uint32, jnp.int32):
        raise ValueError(f"ids must be uint32 or int32, as sample gives them, got {array.dtype}")
    if array.ndim != 1:
        raise ValueError(f"ids must have shape [B], got {array.shape}; write ids.reshape(-1)")
    return array.astype(jnp.uint32)


def priorities(values: ArrayLike, count: int) -> Array:
    """float32 [count] from any real dtype."""
    array = real("priorities", values)
    _shaped("priorities", array, (count,))
    return array.astype(jnp.float32)


def boolean(name: str, values: ArrayLike) -> Array:
    """A bool of any shape."""
    array = jnp.asarray(values)
    if array.dtype != jnp.bool_:
        raise ValueError(f"{name} must be bool, got {array.dtype}; write jnp.asarray({name}, bool)")
    return array


def mask(values: ArrayLike | None, shape: tuple[int, ...]) -> Array | None:
    """A bool of this shape, or None where there is none."""
    if values is None:
        return None
    array = boolean("mask", values)
    _shaped("mask", array, shape)
    return array


def ring_fits(view: Any, capacity: int, needed: int, what: str) -> None:
    """The ring holds whole rows of `num_envs` steps, and at least `needed` of them."""
    rows, rest = divmod(capacity, view.num_envs)
    if rest:
        raise ValueError(
            f"capacity must be a multiple of num_envs = {view.num_envs}, got {capacity}; "
            f"write {max(rows, needed) * view.num_envs}"
        )
    if rows < needed:
        raise ValueError(
            f"capacity // num_envs must be at least {what} = {needed}, "
            f"got {capacity} // {view.num_envs} = {rows}; write at least {needed * view.num_envs}"
        )


def no_discount(view: Any, discount: ArrayLike | None) -> tuple[()]:
    """Nothing, under a view that folds no rewards."""
    if discount is not None:
        raise ValueError(f"discount is for view=Transitions(...), got {discount} under {view}")
    return ()


def same_shape(name: str, array: Array, other_name: str, other: Array) -> None:
    """Both arrays have one shape."""
    if array.shape != other.shape:
        raise ValueError(
            f"{name} must have the shape of {other_name}, {other.shape}, got {array.shape}"
        )


def integer(name: str, value: Any) -> int:
    """An int that is known when tracing."""
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ValueError(
            f"{name} must be an integer known when tracing, got {value!r}; "
            f"write int(...), and where it is an argument of a jitted function mark it as static"
        ) from None


def real(name: str, values: ArrayLike) -> Array:
    """Integers or floats of any shape."""
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
    """Whether it is a dtype of integers or floats."""
    return jnp.issubdtype(dtype, jnp.integer) or jnp.issubdtype(dtype, jnp.floating)


def _number(value: Any) -> float:
    """A float; NaN where `value` is no number."""
    try:
        return math.nan if isinstance(value, str | bool) else float(value)
    except (TypeError, ValueError):
        return math.nan


def _got(name: str, value: Any) -> str:
    """What was given; of what only the state can hold traced, how to write that."""
    if not isinstance(value, Tracer):
        return repr(value)
    instead = f"; write replay.init(item, {name}=...)" if name in ("alpha", "discount") else ""
    return f"a traced value{instead}"


def _shaped(name: str, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        if array.size == math.prod(shape):
            instead = f"write {name}.reshape({shape})"
        else:
            instead = f"for one value in all rows write jnp.full({shape}, value)"
        raise ValueError(
            f"{name} must have one entry per row, shape {shape}, got {array.shape}; {instead}"
        )
