"""One replay per device: built in place, and as many replays side by side would be."""

import re
from functools import partial
from typing import Any, cast

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from benchmarks.harness.arrays import nbytes
from jaxper import Items, PrioritizedReplay, Transitions, UniformReplay, sharding, sum_tree
from tests.helpers.training_step import BATCH, ENVS, ITEM, STEP, add

DEVICES = 8
CAPACITY = 2**14  # enough for a level of the tree that is written row by row
MESH = jax.make_mesh((DEVICES,), ("data",))
KEYS = jax.random.split(jax.random.key(0), 3)
REPLAYS = [
    PrioritizedReplay(CAPACITY),
    PrioritizedReplay(CAPACITY, normalize="buffer", view=Transitions(num_envs=ENVS, n_step=3)),
    UniformReplay(CAPACITY),
]


def empty(replay):
    item = ITEM if isinstance(replay.view, Items) else STEP
    return sharding.init(replay, item, MESH)


def train_step(replay, params, state, key):
    """Adds a shard's own rows, draws, learns a little from all shards, re-prioritizes."""
    state = add(replay, state, jax.random.fold_in(key, jax.lax.axis_index("data")))
    sample = replay.sample(state, key, BATCH, beta=0.5, axis_name="data")
    leaves = [leaf.reshape(BATCH, -1).sum(axis=1) for leaf in jax.tree.leaves(sample.items)]
    values = sum(leaves[1:], leaves[0].astype(jnp.float32))

    def loss(params):
        errors = params - values
        return jnp.mean(sample.weights * errors**2), errors

    gradient, errors = jax.grad(loss, has_aux=True)(params)
    state = replay.update_priorities(state, sample.ids, jnp.abs(errors))
    return params - 0.01 * jax.lax.pmean(gradient, "data"), state, jax.lax.pmean(errors[0], "data")


@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
def test_a_state_is_built_on_its_devices(replay):
    state = empty(replay)
    for leaf in jax.tree.leaves(state):
        assert leaf.shape[0] == DEVICES
        pieces = {piece.device: piece.data.shape[0] for piece in leaf.addressable_shards}
        assert pieces == dict.fromkeys(jax.devices(), 1)
    one = replay.init(ITEM if isinstance(replay.view, Items) else STEP)
    chex.assert_trees_all_equal(jax.tree.map(lambda array: array[3], jax.device_get(state)), one)


@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
def test_devices_are_a_vmap(replay):
    state, params = empty(replay), sharding.replicated(jnp.float32(1), MESH)
    step = sharding.data_parallel(partial(train_step, replay), MESH)
    beside = jax.tree.map(lambda array: jnp.asarray(np.asarray(array)), state)
    alike = jnp.float32(1)
    vmapped = jax.jit(
        jax.vmap(partial(train_step, replay), (None, 0, None), (0, 0, 0), axis_name="data")
    )
    for key in KEYS:
        params, state, output = step(params, state, key)
        alike, beside, expected = vmapped(alike, beside, key)
        chex.assert_trees_all_close(alike, jnp.broadcast_to(params, DEVICES), rtol=1e-5)
        alike = alike[0]
        chex.assert_trees_all_close(expected[0], output, rtol=1e-5)
    chex.assert_trees_all_close(jax.device_get(beside), jax.device_get(state), rtol=1e-4)


def compiled(replay):
    step = sharding.data_parallel(partial(train_step, replay), MESH)
    state = jax.eval_shape(lambda: empty(replay))
    placed = jax.tree.map(
        lambda array: jax.ShapeDtypeStruct(
            array.shape, array.dtype, sharding=jax.NamedSharding(MESH, PartitionSpec("data"))
        ),
        state,
    )
    return step.lower(jnp.float32(1), placed, KEYS[0]).compile(), state


COLLECTIVE = re.compile(r" = (.*?) (all-\w+|collective-\w+|reduce-scatter)[\w-]*\(")
ARRAY = re.compile(r"\w\d+\[([\d,]*)\]")


def sizes(shapes):
    """Elements of each array in the text of a result."""
    return [
        int(np.prod([int(n) for n in found.split(",") if n])) for found in ARRAY.findall(shapes)
    ]


@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
def test_only_scalars_cross_and_nothing_is_copied(replay):
    program, state = compiled(replay)
    text = program.as_text()
    crossing = COLLECTIVE.findall(text)
    assert crossing, "no collective was found: does the pattern still fit?"
    assert {name for _, name in crossing} == {"all-reduce"}
    assert max(size for shapes, _ in crossing for size in sizes(shapes)) == 1
    copies = re.findall(r" = (\S+) copy\(", text)
    assert max((size for shapes in copies for size in sizes(shapes)), default=0) < CAPACITY / 4
    memory, size = program.memory_analysis(), nbytes(state)
    assert memory.alias_size_in_bytes > 0.99 * size / DEVICES  # of one device
    assert memory.temp_size_in_bytes < 30_000


@pytest.mark.parametrize("checked", [True, False])
def test_inside_a_shard_map_of_the_users_own(checked):
    """Also one that checks which values differ between devices."""
    replay = REPLAYS[0]

    def step(state, key):
        one = jax.tree.map(lambda array: array[0], state)
        one = add(replay, one, key)
        sample = replay.sample(one, key, BATCH, axis_name="data")
        one = replay.update_priorities(one, sample.ids, sample.weights)
        return jax.tree.map(lambda array: array[None], one), replay.size(one, axis_name="data")

    own, alike = PartitionSpec("data"), PartitionSpec()
    mapped = jax.shard_map(
        step, mesh=MESH, in_specs=(own, alike), out_specs=(own, alike), check_vma=checked
    )
    _, size = jax.jit(mapped, donate_argnums=0)(empty(replay), KEYS[0])
    assert int(size) == DEVICES * 11


@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
def test_a_life_inside_a_shard_map_of_replays_for_themselves(replay):
    """At first they are alike on all devices, and so are the keys of their draws."""

    def life(key):
        state = replay.init(ITEM if isinstance(replay.view, Items) else STEP)
        index = jax.lax.axis_index("data")
        for _ in range(3):
            state = add(replay, state, jax.random.fold_in(key, index))
            sample = replay.sample(state, key, 100)
            state = replay.update_priorities(state, sample.ids, sample.weights * (1 + index))
        return replay.probabilities(state, sample.ids)[None]

    alike, own = PartitionSpec(), PartitionSpec("data")
    mapped = jax.shard_map(life, mesh=MESH, in_specs=alike, out_specs=own)
    assert np.all(np.asarray(jax.jit(mapped)(KEYS[0])) > 0)


def test_the_same_masses_in_trees_that_differ():
    def find(mass):
        leaves = jnp.full(CAPACITY, 1.0 + jax.lax.axis_index("data"))
        tree = sum_tree.set(sum_tree.init(CAPACITY), jnp.arange(CAPACITY), leaves)
        return sum_tree.find(tree, mass)[None]

    mapped = jax.shard_map(
        find, mesh=MESH, in_specs=PartitionSpec(), out_specs=PartitionSpec("data")
    )
    masses = np.arange(100, dtype=np.float32)
    found = jax.jit(mapped)(masses)
    np.testing.assert_array_equal(found, masses // np.arange(1, DEVICES + 1)[:, None])


def test_the_same_ids_of_large_storages_that_differ():
    """So large that a CPU touches rows before it reads them; traced, but not built."""
    replay = UniformReplay(2**21)

    def get(ids):
        items = jnp.full((4, 16), 1.0 * jax.lax.axis_index("data"))
        return replay.get(replay.add(replay.init(items[0]), items), ids)[None]

    alike, own = PartitionSpec(), PartitionSpec("data")
    mapped = jax.shard_map(get, mesh=MESH, in_specs=alike, out_specs=own)
    ids = jax.ShapeDtypeStruct((4,), jnp.uint32)
    assert jax.eval_shape(mapped, ids).shape == (DEVICES, 4, 16)


def test_inside_a_pmap():
    replay = REPLAYS[0]

    def draw(state, key):
        state = add(replay, state, key)
        return replay.sample(state, key, BATCH, axis_name="devices").probabilities

    state = jax.tree.map(np.asarray, empty(replay))
    probabilities = jax.pmap(draw, axis_name="devices")(state, jax.random.split(KEYS[0], DEVICES))
    np.testing.assert_allclose(probabilities, 1 / (11 * DEVICES), rtol=1e-5)


def test_two_axes_are_one_of_their_product():
    """A mesh of hosts and devices: shards lie along both."""
    replay = REPLAYS[0]

    def draw(key):
        state = add(replay, replay.init(ITEM), key)
        return replay.sample(state, key, BATCH, axis_name=("hosts", "devices")).probabilities

    mesh = jax.make_mesh((2, 4), ("hosts", "devices"))
    both = PartitionSpec(("hosts", "devices"))
    mapped = jax.shard_map(
        draw, mesh=mesh, in_specs=PartitionSpec(), out_specs=both, check_vma=False
    )
    np.testing.assert_allclose(jax.jit(mapped)(KEYS[0]), 1 / (11 * DEVICES), rtol=1e-5)


def test_a_mesh_without_the_axis_is_refused():
    calls = [
        lambda: sharding.init(REPLAYS[0], ITEM, MESH, axis_name="model"),
        lambda: sharding.data_parallel(train_step, MESH, axis_name="model"),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="axis_name must be an axis of the mesh, 'data'"):
            call()


def test_what_is_not_sharded_is_refused():
    replay = REPLAYS[0]
    with pytest.raises(ValueError, match=r"mesh must be a jax.sharding.Mesh, got NoneType"):
        sharding.init(replay, ITEM, cast(Any, None))
    step = sharding.data_parallel(partial(train_step, replay), MESH)
    with pytest.raises(ValueError, match=r"a row for each of 8 devices, got shape \(\)"):
        step(jnp.float32(1), replay.init(ITEM), KEYS[0])
    assert sharding.per_device(lambda index: {"a": 3}, MESH)["a"].tolist() == [3] * DEVICES


def test_the_callers_arrays_survive_donation():
    params = jnp.float32(1)
    copy = sharding.replicated(params, MESH)
    step = sharding.data_parallel(partial(train_step, REPLAYS[2]), MESH)
    step(copy, empty(REPLAYS[2]), KEYS[0])
    assert float(params) == 1


def test_one_replay_for_all_devices_of_an_explicit_mesh():
    """It takes what is whole on each device, and is what it would be on one."""
    replay = REPLAYS[1]
    state = replay.init(STEP)

    def step(state, key):
        state = add(replay, state, key)
        sample = replay.sample(state, key, BATCH)
        return replay.update_priorities(state, sample.ids, 1 + sample.probabilities), sample

    alone = jax.jit(step)(state, KEYS[0])
    with jax.set_mesh(MESH):
        beside = jax.jit(step)(jax.device_put(state, jax.P()), jax.device_put(KEYS[0], jax.P()))
    chex.assert_trees_all_close(*map(jax.device_get, (alone, beside)), rtol=1e-6)
