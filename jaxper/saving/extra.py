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


def _to_array(path: Any, leaf: Any) -> Array:
    if isinstance(leaf, jax.Array):
        return leaf
    try:
        array = jnp.asarray(leaf)
        if jnp.issubdtype(array.dtype, jnp.integer) and not np.array_equal(array, leaf):
            raise OverflowError(f"{array.dtype} does not hold it")
    except (TypeError, OverflowError) as error:
        raise ValueError(
            f"extra{jax.tree_util.keystr(path)} must be an array, got {leaf!r} ({error}); write a "
            f"pytree of arrays, and enable jax_enable_x64 for integers of more than 32 bits"
        ) from error
    return array


def to_saved(tree: Any) -> dict[str, Array | np.ndarray]:
    """Converts a pytree to the arrays that are saved, each under its path."""
    return {
        name: _process_local(_unwrap_key(leaf)) for name, leaf in state_spec.named(tree).items()
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
    leaves = state_spec.named(like)
    specs = {name: _saved_spec(leaf, mesh) for name, leaf in leaves.items()}
    found = store.read_arrays(place, "extra", specs)
    arrays = [_restore_keys(found[name], leaf) for name, leaf in leaves.items()]
    return jax.tree.unflatten(jax.tree.structure(like), arrays)


def _saved_spec(leaf: Any, mesh: Mesh | None) -> jax.ShapeDtypeStruct:
    words = jax.eval_shape(_unwrap_key, leaf)
    return jax.ShapeDtypeStruct(words.shape, words.dtype, sharding=_target_sharding(leaf, mesh))


def _target_sharding(leaf: Any, mesh: Mesh | None) -> Sharding:
    """The sharding of `leaf`, or a copy per device of the mesh if it was placed nowhere."""
    sharding = getattr(leaf, "sharding", None)
    if sharding is None or not getattr(leaf, "committed", True):
        return store.default_sharding() if mesh is None else NamedSharding(mesh, PartitionSpec())
    return sharding


def _process_local(array: Array) -> Array | np.ndarray:
    """The array; with several processes this one's copy as NumPy, as all hold the same values."""
    own = jax.process_count() > 1 and array.is_fully_addressable
    return np.asarray(array) if own else array


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(jax.eval_shape(lambda x: x, leaf).dtype, jax.dtypes.prng_key)


def _unwrap_key(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _restore_keys(words: Array, leaf: Any) -> Array:
    """Wraps the saved words as random keys if `leaf` holds keys."""
    if not _is_key(leaf):
        return words
    # `key_impl` accepts an array but no `ShapeDtypeStruct`, so it is called while tracing.
    implementation = []
    jax.eval_shape(lambda key: implementation.append(jax.random.key_impl(key)), leaf)
    return jax.random.wrap_key_data(words, impl=implementation[0])
