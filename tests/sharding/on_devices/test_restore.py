"""Restores onto other numbers of devices."""

import dataclasses
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxper import PrioritizedReplay, Transitions, checkpoint
from tests.helpers.sharded_lives import APART, Shard, draws, one, same_draws, stack
from tests.helpers.stream_lives import item, make
from tests.saving.test_checkpoint import same_bits


def mesh_of(count):
    return Mesh(np.array(jax.devices()[:count]), ("data",))


def sharded(states):
    count = len(states.next_id)
    return jax.device_put(states, NamedSharding(mesh_of(count), PartitionSpec("data")))


def every(replay, states):
    """What all the shards can draw, each item from one of them."""
    found = {}
    for shard in range(len(states.next_id)):
        more = draws(replay, one(states, shard))
        assert not more.keys() & found.keys()
        found |= more
    return found


def restored(directory, count, replay, spec):
    """The state on so many devices, and how many items were dropped of how many."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        state = checkpoint.restore(directory, replay, spec, mesh=mesh_of(count))
    for leaf in jax.tree.leaves(state):
        assert leaf.sharding == NamedSharding(mesh_of(count), PartitionSpec("data"))
        assert leaf.shape[0] == count
    messages = [w.message for w in caught]
    dropped = [m for m in messages if isinstance(m, checkpoint.Dropped)]
    return jax.device_get(state), dropped


def refused(directory, count, replay, spec, text):
    with pytest.raises(ValueError, match=text):
        checkpoint.restore(directory, replay, spec, mesh=mesh_of(count))


def moves(directory, replay, states, spec, roomy, tight):
    """From 8 shards to 8, to 4 with room for all and without, and to 8 again."""
    before = every(replay, states)
    checkpoint.save(directory, replay, sharded(states))
    same_bits(restored(directory, 8, replay, spec)[0], jax.device_get(states))
    same_bits(checkpoint.restore(directory, replay, spec), states)
    refused(
        directory, 3, replay, spec, "8 shards were saved and the mesh has 3 devices along 'data'"
    )
    refused(directory, 8, roomy, spec, "capacity: saved")
    four = keeps_all(directory, 4, roomy, spec, before)
    less, (dropped,) = restored(directory, 4, tight, spec)
    less = every(tight, less)
    same_draws(less, before)
    assert (dropped.dropped, dropped.live) == (len(before) - len(less), len(before))
    assert f"{dropped.dropped} of {len(before)} live items did not fit 4 shards" in str(dropped)
    checkpoint.save(directory, roomy, sharded(four))
    keeps_all(directory, 8, roomy, spec, before)


def keeps_all(directory, count, replay, spec, before):
    states, dropped = restored(directory, count, replay, spec)
    found = every(replay, states)
    assert found.keys() == before.keys()
    same_draws(found, before)
    assert not dropped
    return states


def test_streams(tmp_path):
    replay = make(Transitions(2, 2, 0.9, 3), 12)
    roomy, tight = (dataclasses.replace(replay, capacity=2 * rows) for rows in (24, 6))
    lives = [Shard(replay, shard, 3 * shard, shard) for shard in range(8)]
    moves(tmp_path, replay, stack([life.state for life in lives]), item(), roomy, tight)


def test_items(tmp_path):
    replay, spec = PrioritizedReplay(6), {"x": jnp.int32(0)}

    def filled(shard):
        codes = shard * APART + jnp.arange(5)
        return replay.add(replay.init(spec), {"x": codes}, priorities=codes % 7.0)

    states = jax.vmap(filled)(jnp.arange(8))
    moves(tmp_path, replay, states, spec, PrioritizedReplay(12), PrioritizedReplay(3))
    alone = filled(3)
    checkpoint.save(tmp_path, replay, alone)
    keeps_all(tmp_path, 8, replay, spec, draws(replay, alone))
    same_bits(one(restored(tmp_path, 1, replay, spec)[0], 0), jax.device_get(alone))
