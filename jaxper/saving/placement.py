"""The devices of a restored state, and which saved shards each of them reads.

M shards were saved and the mesh has N devices for them; one number must divide the other. The
devices form G = min(M, N) groups of N / G. Each group reads M / G shards, and every device of the
group has all of them. Each device then builds its own state from them, without communication.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from jaxper.checks import require
from jaxper.replay.types import Replay, State
from jaxper.transfer import reshard
from jaxper.tree import core

# The mesh axis within a group, on which each device is one part.
PART_AXIS = "jaxper.part"


class Layout(NamedTuple):
    """The mesh of a restored state, and how many shards there were and will be.

    Attributes:
      mesh: the devices.
      axis_name: the axis of the mesh with one shard per device.
      saved: the number of shards in the checkpoint.
      shards: the number of shards of the restored state.
    """

    mesh: Mesh
    axis_name: str
    saved: int
    shards: int

    @property
    def groups(self) -> int:
        """The number of groups; the devices of a group read the same shards."""
        return min(self.saved, self.shards)

    @property
    def grouped_mesh(self) -> Mesh:
        """The mesh with the axis of shards split in two: the groups, and the parts of a group."""
        at = self.mesh.axis_names.index(self.axis_name)
        before, after = self.mesh.devices.shape[:at], self.mesh.devices.shape[at + 1 :]
        devices = self.mesh.devices.reshape(*before, self.groups, -1, *after)
        names = self.mesh.axis_names
        return Mesh(devices, (*names[: at + 1], PART_AXIS, *names[at + 1 :]))

    def read_sharding(self, axes: int) -> Sharding:
        """The sharding with which to read a saved state.

        Args:
          axes: the number of leading axes of the state. With 0 every device reads all of it, with
            1 each group of devices reads its shards.
        """
        if axes and self.saved == self.shards:
            return self.state_sharding
        return NamedSharding(self.grouped_mesh, PartitionSpec(*[self.axis_name] * axes))

    @property
    def state_sharding(self) -> Sharding:
        """The sharding of the restored state: one shard per device."""
        return NamedSharding(self.mesh, PartitionSpec(self.axis_name))


def plan_layout(mesh: Mesh, axis_name: str, leading: tuple[int, ...]) -> Layout:
    """Plans how a state that was saved with these leading axes is restored on a mesh.

    Raises:
      ValueError: the mesh has no such axis, there is more than one leading axis, or neither number
        of shards divides the other.
    """
    require.mesh_axis(mesh, axis_name)
    if len(leading) > 1:
        raise ValueError(
            f"a state with the leading axes {leading} is not one replay per shard; restore it "
            f"without mesh, and place it with jax.device_put"
        )
    saved, shards = (leading or (1,))[0], mesh.shape[axis_name]
    if max(saved, shards) % min(saved, shards):
        raise ValueError(
            f"{saved} shards were saved and the mesh has {shards} devices along {axis_name!r}: "
            f"one number must divide the other; restore onto a mesh of another size, or without one"
        )
    return Layout(mesh, axis_name, saved, shards)


def redistribute(layout: Layout, old: Replay, new: Replay, states: State) -> tuple[State, int, int]:
    """Joins or splits the saved shards, so that each device of the mesh has one.

    Args:
      layout: the mesh, and the numbers of shards.
      old: the replay of the saved shards, with the view of `new`; capacity and normalize may
        differ.
      new: the replay of the restored shards.
      states: the saved state, arrays [saved, ...] with `layout.read_sharding`.

    Returns:
      The state, arrays [shards, ...]; the number of live items that were dropped; and the number
      of live items before.
    """
    parts = layout.shards // layout.groups
    spec = PartitionSpec(layout.axis_name)

    def build_shard(states: State) -> State:
        part = jax.lax.axis_index(PART_AXIS)
        state = reshard.reshard(old, new, states, part, parts)
        return jax.tree.map(lambda array: array[None], state)

    out = PartitionSpec((layout.axis_name, PART_AXIS))
    on_all = jax.shard_map(
        build_shard, mesh=layout.grouped_mesh, in_specs=spec, out_specs=out, check_vma=False
    )
    state = jax.jit(on_all)(states)
    before, after = _count_live(old, states), _count_live(new, state)
    return state, before - after, before


def add_or_drop_minima(replay: Replay, state: State) -> State:
    """Adds the minima of the tree if the replay's `normalize` needs them, and drops them if not."""
    minimum = replay.keeps_minimum
    if state.tree is None or minimum == (state.tree.minima is not None):
        return state

    def rebuild(leaves: jax.Array) -> core.SumTree:
        return core.with_leaves(core.init(replay.capacity, minimum=minimum), leaves)

    for _ in state.next_id.shape:
        rebuild = jax.vmap(rebuild)
    return state._replace(tree=jax.jit(rebuild)(state.tree.leaves))


def _count_live(replay: Replay, states: State) -> int:
    """Counts the live items of all shards."""
    return int(jnp.sum(replay.size(states), dtype=jnp.uint32))
