"""The pytree of arrays that is saved beside a state; random keys are saved as their uint32 data."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from jaxper.saving import store
from jaxper.transfer import state_spec


def to_arrays(tree: Any) -> Any:
    """Converts each array of a pytree to JAX, which makes float64 float32 unless x64 is enabled.

    Raises:
      ValueError: something in it is no array, or its integers do not fit the dtype in JAX.
    """
    return jax.tree_util.tree_map_with_path(_to_array, tree)


def _to_array(path: Any, value: Any) -> Array:
    if isinstance(value, jax.Array):
        return value
    try:
        array = jnp.asarray(value)
        if jnp.issubdtype(array.dtype, jnp.integer) and not np.array_equal(array, value):
            raise OverflowError(f"{array.dtype} does not hold it")
    except (TypeError, OverflowError) as error:
        raise ValueError(
            f"extra{jax.tree_util.keystr(path)} must be an array, got {value!r} ({error}); write a "
            f"pytree of arrays, and enable jax_enable_x64 for integers of more than 32 bits"
        ) from error
    return array


def to_saved(tree: Any) -> dict[str, Array | np.ndarray]:
    """Converts a pytree to the arrays that are saved, each under its path."""
    return {
        name: _process_local(_unwrap_key(array))
        for name, array in state_spec.arrays_by_path(tree).items()
    }


def read_extra(place: store.Place, like: Any, mesh: Mesh | None) -> Any:
    """Reads the pytree that was saved.

    Args:
      place: the checkpoint.
      like: arrays or `jax.ShapeDtypeStruct`s of the structure, shapes and dtypes that were saved.
      mesh: the devices for arrays of `like` without a placement of their own; the default device
        if it is None.

    Returns:
      The pytree, each array on the devices of the one in `like`.
    """
    wanted = state_spec.arrays_by_path(like)
    specs = {name: _saved_spec(array, mesh) for name, array in wanted.items()}
    found = store.read_arrays(place, "extra", specs)
    arrays = [_restore_keys(found[name], array) for name, array in wanted.items()]
    return jax.tree.unflatten(jax.tree.structure(like), arrays)


def _saved_spec(array: Any, mesh: Mesh | None) -> jax.ShapeDtypeStruct:
    words = jax.eval_shape(_unwrap_key, array)
    return jax.ShapeDtypeStruct(words.shape, words.dtype, sharding=_target_sharding(array, mesh))


def _target_sharding(array: Any, mesh: Mesh | None) -> Sharding:
    """Returns the sharding of `array`; if it has none, a copy on each device of the mesh."""
    sharding = getattr(array, "sharding", None)
    if sharding is None or not getattr(array, "committed", True):
        return store.default_sharding() if mesh is None else NamedSharding(mesh, PartitionSpec())
    return sharding


def _process_local(array: Array) -> Array | np.ndarray:
    """Returns an array; if there are several processes and this one holds all of it, as NumPy."""
    own = jax.process_count() > 1 and array.is_fully_addressable
    return np.asarray(array) if own else array


def _is_key(array: Any) -> bool:
    return jnp.issubdtype(jax.eval_shape(lambda x: x, array).dtype, jax.dtypes.prng_key)


def _unwrap_key(array: Any) -> Any:
    return jax.random.key_data(array) if _is_key(array) else array


def _restore_keys(words: Array, array: Any) -> Array:
    """Wraps the saved words as random keys if `array` holds keys."""
    if not _is_key(array):
        return words
    # `key_impl` accepts an array but no `ShapeDtypeStruct`, so it is called while tracing.
    implementation = []
    jax.eval_shape(lambda key: implementation.append(jax.random.key_impl(key)), array)
    return jax.random.wrap_key_data(words, impl=implementation[0])
