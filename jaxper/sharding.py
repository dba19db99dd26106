"""One replay per device of a mesh, and a training step that runs on all of them as one program.

A sharded state has the arrays of a single one with a leading axis, [shards, ...], one row per
device. Every shard has its own ring and tree, and draws its own part of each batch. Devices
exchange a few scalars for the weights, and whatever the training step itself sums over them.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxper.checks import require


def init(replay: Any, item: Any, mesh: Mesh, *, axis_name: str = "data") -> Any:
    """Makes an empty state for each device along an axis of the mesh, on that device.

    Args:
      replay: the configuration of each shard; `capacity` and `num_envs` are those of one shard.
      item: arrays or `jax.ShapeDtypeStruct`s of one item, as for `replay.init`.
      mesh: the devices. Those at the same place along `axis_name` hold the same shard.
      axis_name: the axis of the mesh with one shard per device.

    Returns:
      A state with arrays [shards, ...].

    Raises:
      ValueError: the mesh has no such axis.

    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> replay = PrioritizedReplay(1000)
    >>> sharding.init(replay, jnp.zeros(3), mesh).next_id.shape
    (1,)
    """
    return per_device(lambda index: replay.init(item), mesh, axis_name=axis_name)


def per_device(make: Callable[[jax.Array], Any], mesh: Mesh, *, axis_name: str = "data") -> Any:
    """Calls `make` on each device, for example to make the environments of each shard.

    Args:
      make: a function from the number of a shard, int32 [], to a pytree of arrays.
      mesh: the devices.
      axis_name: the axis of the mesh with one shard per device.

    Returns:
      The pytree with arrays [shards, ...].

    Raises:
      ValueError: the mesh has no such axis.

    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> sharding.per_device(lambda index: jnp.full(3, index), mesh).tolist()
    [[0, 0, 0]]
    """

    def build() -> Any:
        return _add_shard_axis(make(jax.lax.axis_index(axis_name)))

    require.mesh_axis(mesh, axis_name)
    return jax.jit(_map_shards(build, mesh, (), PartitionSpec(axis_name)))()


def replicated(tree: Any, mesh: Mesh) -> Any:
    """Copies a pytree to every device of the mesh.

    Args:
      tree: a pytree of arrays, with equal values in each process.
      mesh: the devices.

    Returns:
      The pytree, replicated over the mesh: a copy, so that donating it leaves `tree` alone.

    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> sharding.replicated({"weight": jnp.ones(3)}, mesh)["weight"].is_fully_replicated
    True
    """
    # `device_put` may share memory with its argument, which would then be donated too.
    copy = jax.tree.map(jnp.copy, tree)
    return jax.device_put(copy, NamedSharding(mesh, PartitionSpec()))


def data_parallel(step: Callable[..., Any], mesh: Mesh, *, axis_name: str = "data") -> Any:
    """Compiles a training step that every device runs on its own shard.

        shared, local, outputs = step(shared, local, *inputs)

    Inside the step, pass `axis_name` to `sample`, and average gradients over it with
    `jax.lax.pmean`.

    Args:
      step: a function that runs on each shard. `shared` is equal on all shards, such as parameters
        and optimizer state, and so are `inputs`, such as a random key. `local` belongs to one
        shard, such as its replay state and environments, and has no axis of shards here. The
        returned `shared` and `outputs` must be equal on all shards, which is not checked.
      mesh: the devices.
      axis_name: the axis of the mesh with one shard per device.

    Returns:
      The compiled function. Its `local` has arrays [shards, ...]; it donates `shared` and `local`.

    Raises:
      ValueError: the mesh has no such axis, or, when called, `local` lacks the axis of shards.

    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> replay = PrioritizedReplay(1000)
    >>> def step(mean, state, key):
    ...     state = replay.add(state, jax.random.normal(key, (8,)))
    ...     sample = replay.sample(state, key, 32, axis_name="data")
    ...     return jax.lax.pmean(jnp.mean(sample.weights * sample.items), "data"), state, ()
    >>> state = sharding.init(replay, jnp.float32(0), mesh)
    >>> compiled = sharding.data_parallel(step, mesh)
    >>> mean, state, _ = compiled(jnp.float32(0), state, jax.random.key(0))
    >>> int(state.next_id[0])
    8
    """

    def run_shard(shared: Any, local: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        shared, local, outputs = step(shared, jax.tree.map(lambda array: array[0], local), *inputs)
        return shared, _add_shard_axis(local), outputs

    require.mesh_axis(mesh, axis_name)
    equal, own = PartitionSpec(), PartitionSpec(axis_name)
    run_all = _map_shards(run_shard, mesh, (equal, own, equal), (equal, own, equal))

    @partial(jax.jit, donate_argnums=(0, 1))
    def run_step(shared: Any, local: Any, *inputs: Any) -> tuple[Any, Any, Any]:
        _check_rows(local, mesh.shape[axis_name])
        return run_all(shared, local, inputs)

    return run_step


def _map_shards(function: Callable[..., Any], mesh: Mesh, in_specs: Any, out_specs: Any) -> Any:
    """Returns a function that calls `function` on every device.

    Without `check_vma` the gradient in a step is that of one shard, as under `vmap`.
    """
    return jax.shard_map(
        function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
    )


def _add_shard_axis(tree: Any) -> Any:
    return jax.tree.map(lambda array: jnp.asarray(array)[None], tree)


def _check_rows(local: Any, shards: int) -> None:
    """Refuses arrays without one row per shard."""
    for path, array in jax.tree_util.tree_leaves_with_path(local):
        if jnp.shape(array)[:1] != (shards,):
            raise ValueError(
                f"local{jax.tree_util.keystr(path)} must have a row for each of {shards} devices, "
                f"got shape {jnp.shape(array)}; build it with sharding.init or sharding.per_device"
            )
