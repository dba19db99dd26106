"""How a restored state lies on the devices, and how the shards of a saved one come there.

Of M saved shards and N devices one number divides the other. The mesh is taken as one of min(M, N)
groups of devices: each group reads M / min(M, N) shards, and the devices of a group share them.
Then each device makes its own state of what it has read, without a word to the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding

from jaxper import sum_tree
from jaxper.checks import require
from jaxper.transfer import reshard, rows

if TYPE_CHECKING:
    from jaxper.transfer.rows import Replay, State

PART_AXIS = "jaxper.part"  # axis of the devices of a group


class Layout(NamedTuple):
    """Where a state goes."""

    mesh: Mesh
    axis_name: str  # of the devices with a shard each
    saved: int  # number of shards in the checkpoint
    shards: int  # number of shards wanted

    @property
    def groups(self) -> int:
        """Groups of devices that read the same."""
        return min(self.saved, self.shards)

    @property
    def grouped_mesh(self) -> Mesh:
        """The mesh with its axis as two: of the groups, and within them."""
        at = self.mesh.axis_names.index(self.axis_name)
        before, after = self.mesh.devices.shape[:at], self.mesh.devices.shape[at + 1 :]
        devices = self.mesh.devices.reshape(*before, self.groups, -1, *after)
        names = self.mesh.axis_names
        return Mesh(devices, (*names[: at + 1], PART_AXIS, *names[at + 1 :]))

    def read_sharding(self, axes: int) -> Sharding:
        """Of what was saved with 0 or 1 leading axes: each shard to the devices that need it."""
        if axes and self.saved == self.shards:
            return self.state_sharding
        return NamedSharding(self.grouped_mesh, PartitionSpec(*[self.axis_name] * axes))

    @property
    def state_sharding(self) -> Sharding:
        """Of the state: one shard per device."""
        return NamedSharding(self.mesh, PartitionSpec(self.axis_name))


def plan_layout(mesh: Mesh, axis_name: str, leading: tuple[int, ...]) -> Layout:
    """The layout of a state that was saved with these leading axes, on a mesh."""
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
            f"one number must divide the other"
        )
    return Layout(mesh, axis_name, saved, shards)


def redistribute(layout: Layout, old: Replay, new: Replay, states: State) -> tuple[State, int, int]:
    """The state of `new` on the mesh, how many live items it lost, and how many there were.

    Args:
      layout: where to.
      old: the replay of the states; it differs in nothing but the capacity.
      new: the replay of the result.
      states: leaves [saved, ...], read to `layout.read_sharding`.
    """
    parts = layout.shards // layout.groups
    spec = PartitionSpec(layout.axis_name)

    def local(states: State) -> State:
        part = jax.lax.axis_index(PART_AXIS)
        state = reshard.resharded(old, new, states, part, parts)
        return jax.tree.map(lambda leaf: leaf[None], state)

    out = PartitionSpec((layout.axis_name, PART_AXIS))
    everywhere = jax.shard_map(
        local, mesh=layout.grouped_mesh, in_specs=spec, out_specs=out, check_vma=False
    )
    state = jax.jit(everywhere)(states)
    before, after = _count_live(states), _count_live(state)
    return state, before - after, before


def add_or_drop_minima(replay: Replay, state: State) -> State:
    """The state with the levels in its tree that the replay's `normalize` asks for."""
    minimum = rows.keeps_minimum(replay)
    if state.tree == () or minimum == (state.tree.minima is not None):
        return state

    def rebuilt(leaves: jax.Array) -> sum_tree.SumTree:
        return sum_tree.rebuild(sum_tree.init(replay.capacity, minimum=minimum), leaves)

    for _ in state.next_id.shape:
        rebuilt = jax.vmap(rebuilt)
    return state._replace(tree=jax.jit(rebuilt)(state.tree.leaves))


def _count_live(states: State) -> int:
    """Live items of all shards."""
    return int(jnp.sum(rows.size(states), dtype=jnp.uint32))
