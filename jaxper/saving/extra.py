"""What is saved beside a state: a pytree of arrays, with random keys as the words they hold."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from jaxper.saving import store
from jaxper.transfer import state_spec


def to_arrays(tree: Any) -> Any:
    """The pytree as arrays of JAX; 64-bit floats become 32-bit ones, as everywhere in it.

    Raises:
      ValueError: a leaf is no array, or its integers do not fit.
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
            f"pytree of arrays, of integers of more than 32 bits with jax_enable_x64"
        ) from error
    return array


def to_saved(tree: Any) -> dict[str, Array | np.ndarray]:
    """Arrays by their path."""
    return {
        name: _process_local(_unwrap_key(leaf)) for name, leaf in state_spec.named(tree).items()
    }


def read_extra(place: store.Place, like: Any, mesh: Mesh | None) -> Any:
    """What was saved, with each array to where the one in `like` is; else to the whole mesh."""
    leaves = state_spec.named(like)
    specs = {name: _saved_spec(leaf, mesh) for name, leaf in leaves.items()}
    found = store.read_arrays(place, "extra", specs)
    arrays = [_restore_keys(found[name], leaf) for name, leaf in leaves.items()]
    return jax.tree.unflatten(jax.tree.structure(like), arrays)


def _saved_spec(leaf: Any, mesh: Mesh | None) -> jax.ShapeDtypeStruct:
    words = jax.eval_shape(_unwrap_key, leaf)
    return jax.ShapeDtypeStruct(words.shape, words.dtype, sharding=_target_sharding(leaf, mesh))


def _target_sharding(leaf: Any, mesh: Mesh | None) -> Sharding:
    """Where it is to be; a leaf that was put nowhere goes to the whole mesh."""
    sharding = getattr(leaf, "sharding", None)
    if sharding is None or not getattr(leaf, "committed", True):
        return store.default_sharding() if mesh is None else NamedSharding(mesh, PartitionSpec())
    return sharding


def _process_local(array: Array) -> Array | np.ndarray:
    """The array; of several processes that hold one each, with equal values, their value."""
    own = jax.process_count() > 1 and array.is_fully_addressable
    return np.asarray(array) if own else array


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(jax.eval_shape(lambda x: x, leaf).dtype, jax.dtypes.prng_key)


def _unwrap_key(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _restore_keys(words: Array, leaf: Any) -> Array:
    """Random keys again where `leaf` is one."""
    if not _is_key(leaf):
        return words
    implementation = []  # an array tells it, a shape does not
    jax.eval_shape(lambda key: implementation.append(jax.random.key_impl(key)), leaf)
    return jax.random.wrap_key_data(words, impl=implementation[0])
