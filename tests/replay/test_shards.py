"""Replays side by side along a named axis: one draw from all of them, weighted as one replay."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import PrioritizedReplay, Sequences, TimeStep, Transitions, UniformReplay
from jaxper.replay import shards
from tests.helpers.training_step import FLAG

CAPACITY, SHARDS, BATCH = 64, 4, 32
SIZES = np.array([64, 30, 0, 5])  # items of each shard: one is empty
SCALES = np.array([1e-6, 1.0, 1.0, 1e9])  # of each shard's priorities

REPLAYS = [
    PrioritizedReplay(CAPACITY, normalize="none"),
    PrioritizedReplay(CAPACITY),
    PrioritizedReplay(CAPACITY, normalize="buffer", strategy="iid"),
    UniformReplay(CAPACITY),
]


@partial(jax.jit, static_argnums=0)
def filled(replay):
    """Shards that differ in size and total; items are the numbers 1000 * shard + row."""

    def one(shard, size, scale):
        rows = jnp.arange(CAPACITY)
        items = (1000 * shard + rows).astype(jnp.int32)
        priorities = scale * (1 + rows % 7).astype(jnp.float32)
        state = replay.init(jnp.int32(0))
        return replay.add(state, items, priorities=priorities, mask=rows < size)

    return jax.vmap(one)(jnp.arange(SHARDS), SIZES, SCALES.astype(np.float32))


@partial(jax.jit, static_argnums=0)
def drawn(replay, states, key, beta):
    draw = partial(replay.sample, key=key, batch_size=BATCH, beta=beta, axis_name="data")
    return jax.vmap(draw, axis_name="data")(states)


def chances(replay, states):
    """P(i) of each slot [SHARDS, CAPACITY] in float64: leaf / (shards * total of the shard)."""
    if isinstance(replay, UniformReplay):
        leaves = (np.arange(CAPACITY) < SIZES[:, None]).astype(np.float64)
    else:
        leaves = np.asarray(states.tree.leaves, np.float64).reshape(SHARDS, -1)
    totals = leaves.sum(axis=1, keepdims=True)
    return leaves / np.where(totals > 0, totals, 1) / SHARDS


@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
def test_probabilities_are_those_of_the_global_batch(replay):
    states = filled(replay)
    sample = drawn(replay, states, jax.random.key(0), 0.5)
    slots = np.asarray(sample.ids) % CAPACITY
    expected = np.take_along_axis(chances(replay, states), slots, axis=1)
    np.testing.assert_allclose(sample.probabilities, expected, rtol=1e-5)
    found = jax.vmap(partial(replay.probabilities, axis_name="data"), axis_name="data")(
        states, sample.ids
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    full = SIZES > 0
    assert (sample.items // 1000 == np.arange(SHARDS)[:, None])[full].all()


@pytest.mark.parametrize("beta", [0.5, 1.0])
@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
def test_weights_are_over_all_shards(replay, beta):
    """The formula, (N P)^-beta over the largest, with N and the largest of all shards."""
    states = filled(replay)
    sample = drawn(replay, states, jax.random.key(1), beta)
    full = SIZES > 0
    weights, probabilities = np.asarray(sample.weights), np.asarray(sample.probabilities)
    assert not weights[~full].any()
    assert not probabilities[~full].any()
    exponent = 1.0 if isinstance(replay, UniformReplay) else beta
    expected = (SIZES.sum() * probabilities[full].astype(np.float64)) ** -exponent
    normalize = getattr(replay, "normalize", "none")
    if normalize == "batch":
        expected /= expected.max()
    elif normalize == "buffer":
        every = chances(replay, states)
        expected /= (SIZES.sum() * every[every > 0].min()) ** -beta
    np.testing.assert_allclose(weights[full], expected, rtol=2e-4)


@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
def test_weighted_mean_is_the_plain_mean(replay):
    """Over the whole global batch at beta = 1, whatever the shards' totals and sizes."""
    states, means = filled(replay), []
    value = np.random.default_rng(0).normal(size=(SHARDS, CAPACITY)) + np.arange(SHARDS)[:, None]
    for key in jax.random.split(jax.random.key(2), 200):
        sample = drawn(replay, states, key, 1.0)
        values = np.take_along_axis(value, np.asarray(sample.ids) % CAPACITY, axis=1)
        means.append(np.average(values, weights=sample.weights))
    live = np.arange(CAPACITY) < SIZES[:, None]
    assert abs(np.mean(means) - value[live].mean()) < 0.03
    assert abs(value[SIZES > 0].mean() - value[live].mean()) > 0.3  # of shards that counted alike


@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
def test_one_shard_is_no_shard(replay):
    states = jax.tree.map(lambda array: array[1:2], filled(replay))
    beside = drawn(replay, states, jax.random.key(3), 0.5)
    key = jax.random.fold_in(jax.random.key(3), 0)
    alone = replay.sample(jax.tree.map(lambda array: array[0], states), key, BATCH, beta=0.5)
    np.testing.assert_array_equal(beside.ids[0], alone.ids)
    np.testing.assert_allclose(beside.weights[0], alone.weights, rtol=1e-4)


@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
def test_all_shards_empty(replay):
    states = jax.vmap(lambda _: replay.init(jnp.int32(0)))(jnp.arange(SHARDS))
    sample = drawn(replay, states, jax.random.key(0), 0.0)
    assert not np.any(sample.weights)
    assert not np.any(sample.probabilities)
    assert (np.asarray(sample.ids) == 2**32 - 1).all()


def test_one_key_draws_differently_on_each_shard():
    replay = REPLAYS[0]
    states = jax.tree.map(lambda array: jnp.repeat(array[:1], SHARDS, axis=0), filled(replay))
    ids = np.asarray(drawn(replay, states, jax.random.key(0), 0.5).ids)
    assert len({tuple(row) for row in ids}) == SHARDS


@pytest.mark.parametrize("replay", [REPLAYS[1], REPLAYS[3]], ids=repr)
def test_size_is_that_of_all(replay):
    sizes = jax.vmap(partial(replay.size, axis_name="data"), axis_name="data")(filled(replay))
    np.testing.assert_array_equal(sizes, SIZES.sum())
    assert sizes.dtype == jnp.int32


def test_a_size_beyond_int32_is_the_largest_int32():
    sizes = jnp.array([2**31 - 1, 5, 0], jnp.int32)
    counted = jax.vmap(lambda size: shards.count_over_shards(size, "data"), axis_name="data")
    assert counted(sizes).tolist() == [2**31 - 1] * 3
    assert counted(sizes - jnp.array([2**30, 0, 0])).tolist() == [2**30 + 4] * 3


@pytest.mark.parametrize("axis_name", ["nowhere", ["data"], 3])
@pytest.mark.parametrize("replay", [REPLAYS[1], REPLAYS[3]], ids=repr)
def test_an_unknown_axis_is_refused(replay, axis_name):
    state = replay.init(jnp.int32(0))
    calls = [
        lambda: replay.sample(state, jax.random.key(0), 4, axis_name=axis_name),
        lambda: replay.size(state, axis_name=axis_name),
        lambda: replay.probabilities(state, jnp.arange(2), axis_name=axis_name),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="axis_name must name an axis"):
            call()


VIEWS = [Transitions(num_envs=2, n_step=2, frame_stack=2), Sequences(num_envs=2, length=3)]


@pytest.mark.parametrize("view", VIEWS, ids=repr)
@pytest.mark.parametrize("kind", [PrioritizedReplay, UniformReplay])
def test_streams(kind, view):
    """Streams of unequal length: weights undo the draw, exactly, at beta = 1."""
    replay = kind(CAPACITY, view=view)
    item = TimeStep(jnp.float32(0), jnp.int32(0), jnp.float32(0), FLAG, FLAG)

    def grown(count):
        never = jnp.zeros((1, 2), bool)
        row = jnp.zeros((1, 2), jnp.float32)
        step = TimeStep(row, row.astype(jnp.int32), row, never, never)
        longer = lambda i, state: replay.add(state, step)  # noqa: E731
        return jax.lax.fori_loop(0, count, longer, replay.init(item))

    states = jax.jit(jax.vmap(grown))(jnp.array([40, 9, 0, 4]))
    sample = drawn(replay, states, jax.random.key(0), 1.0)
    sizes = np.asarray(jax.vmap(replay.size)(states))
    assert (sizes[[0, 1, 3]] > 0).all()
    assert sizes[2] == 0
    weighted = np.asarray(sample.weights * sample.probabilities)[sizes > 0]
    np.testing.assert_allclose(weighted, weighted[0, 0], rtol=1e-4)
    assert not np.any(sample.weights[2])
