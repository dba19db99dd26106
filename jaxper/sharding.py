"""One replay per device of a mesh, and a training step that runs on all of them as one program.

A sharded state has the leaves of a single one with an axis in front, [shards, ...], one row per
device. Every shard has its own ring and tree and draws its own part of each batch; what crosses
between devices is a few scalars for the weights, and whatever the step itself sums up.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxper.checks import require


def init(replay: Any, item: Any, mesh: Mesh, *, axis_name: str = "data") -> Any:
    """Empty states, one per device along an axis of the mesh, each built where it is to lie.

    Args:
      replay: the configuration of each shard: `capacity`, and a stream's `num_envs`, are its own.
      item: as for `replay.init`.
      mesh: the devices; those that differ in other axes of the mesh hold the same.
      axis_name: the axis of the mesh along which the shards lie.

    Returns:
      A state with leaves [shards, ...].

    Raises:
      ValueError: the mesh has no such axis.

    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> replay = PrioritizedReplay(1000)
    >>> sharding.init(replay, jnp.zeros(3), mesh).next_id.shape
    (1,)
    """
    return per_device(lambda index: replay.init(item), mesh, axis_name=axis_name)


def per_device(make: Callable[[jax.Array], Any], mesh: Mesh, *, axis_name: str = "data") -> Any:
    """What `make` builds on each device, for example its environments.

    Args:
      make: the number of a shard, int32 [], to a pytree of arrays.
      mesh: the devices.
      axis_name: the axis of the mesh along which the shards lie.

    Returns:
      The pytree with leaves [shards, ...].

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
    """A copy of a pytree on every device of the mesh, where each process has the same values.

    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> sharding.replicated({"weight": jnp.ones(3)}, mesh)["weight"].is_fully_replicated
    True
    """
    copy = jax.tree.map(jnp.copy, tree)  # to donate the result leaves the caller's arrays alone
    return jax.device_put(copy, NamedSharding(mesh, PartitionSpec()))


def data_parallel(step: Callable[..., Any], mesh: Mesh, *, axis_name: str = "data") -> Any:
    """Compiles a training step that every device runs on its own shard.

        shared, local, outputs = step(shared, local, *inputs)

    Inside, `axis_name` names the axis of the shards: sample with it, and average gradients with
    `jax.lax.pmean`.

    Args:
      step: a function of one shard. `shared` is what all hold alike (parameters, optimizer): it and
        `outputs` must come out alike on every shard, which is not checked. `local` is what each
        holds of its own (replay state, environments), here without the axis of shards. `inputs`,
        such as a random key, are the same on all.
      mesh: the devices.
      axis_name: the axis of the mesh along which the shards lie.

    Returns:
      The compiled function. Its `local` has leaves [shards, ...]; `shared` and `local` are donated.

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

    def on_one(shared: Any, local: Any, inputs: tuple[Any, ...]) -> tuple[Any, Any, Any]:
        shared, local, outputs = step(shared, jax.tree.map(lambda leaf: leaf[0], local), *inputs)
        return shared, _add_shard_axis(local), outputs

    require.mesh_axis(mesh, axis_name)
    alike, own = PartitionSpec(), PartitionSpec(axis_name)
    on_all = _map_shards(on_one, mesh, (alike, own, alike), (alike, own, alike))

    @partial(jax.jit, donate_argnums=(0, 1))
    def compiled(shared: Any, local: Any, *inputs: Any) -> tuple[Any, Any, Any]:
        _check_rows(local, mesh.shape[axis_name])
        return on_all(shared, local, inputs)

    return compiled


def _map_shards(function: Callable[..., Any], mesh: Mesh, in_specs: Any, out_specs: Any) -> Any:
    """`function` on every device. Unchecked, a gradient is that of one shard, as under `vmap`."""
    return jax.shard_map(
        function, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=False
    )


def _add_shard_axis(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], tree)


def _check_rows(local: Any, shards: int) -> None:
    """Each leaf has a row per device."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(local):
        if jnp.shape(leaf)[:1] != (shards,):
            raise ValueError(
                f"local{jax.tree_util.keystr(path)} must have a row for each of {shards} devices, "
                f"got shape {jnp.shape(leaf)}; build it with sharding.init or sharding.per_device"
            )
