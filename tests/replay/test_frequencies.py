"""Drawn frequencies against the leaves, by chi-square."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxper import PrioritizedReplay, UniformReplay

CAPACITY = 60
BATCH = 64
BATCHES = 4000


def life(replay, rows):
    """`rows` items with priorities over three orders of magnitude, added in parts."""
    state = replay.init(jnp.int32(0))
    priorities = 10.0 ** np.random.default_rng(rows).uniform(-1.5, 1.5, rows)
    for start in range(0, rows, 20):
        part = slice(start, start + 20)
        values = jnp.arange(rows, dtype=jnp.int32)[part]
        state = replay.add(state, values, priorities=priorities[part].astype(np.float32))
    return state, priorities[-min(rows, CAPACITY) :]


def draw(replay, state, rows):
    keys = jax.random.split(jax.random.key(rows), BATCHES)
    ids = jax.jit(jax.vmap(lambda key: replay.sample(state, key, BATCH).ids))(keys)
    return np.bincount(np.asarray(ids).ravel() - max(0, rows - CAPACITY))


@pytest.mark.parametrize("strategy", ["iid", "stratified"])
@pytest.mark.parametrize("rows", [20, 60, 140], ids=["partly filled", "full", "wrapped"])
def test_prioritized(strategy, rows):
    """A stratified batch varies less than chi-square allows for, and may not vary more."""
    replay = PrioritizedReplay(CAPACITY, alpha=0.8, epsilon=0.0, strategy=strategy)
    state, priorities = life(replay, rows)
    expected = priorities**0.8 / np.sum(priorities**0.8)
    counts = draw(replay, state, rows)
    result = stats.chisquare(counts, expected * BATCH * BATCHES)
    assert result.pvalue > 1e-4
    if strategy == "iid":
        assert result.pvalue < 1 - 1e-4


@pytest.mark.parametrize("rows", [20, 60, 140], ids=["partly filled", "full", "wrapped"])
def test_uniform(rows):
    replay = UniformReplay(CAPACITY)
    state, priorities = life(replay, rows)
    counts = draw(replay, state, rows)
    assert counts.size == priorities.size
    assert 1e-4 < stats.chisquare(counts).pvalue < 1 - 1e-4


def test_each_row_of_a_shuffled_stratified_batch_draws_its_own_slice():
    replay = PrioritizedReplay(CAPACITY)
    state = replay.add(replay.init(jnp.int32(0)), jnp.arange(CAPACITY, dtype=jnp.int32))
    keys = jax.random.split(jax.random.key(0), 500)
    ids = np.asarray(jax.vmap(lambda key: replay.sample(state, key, BATCH).ids)(keys))
    means = ids.mean(axis=0)
    assert np.ptp(means) > 0.9 * CAPACITY
    halves = means.reshape(2, -1).mean(axis=1)
    assert abs(halves[0] - halves[1]) < 0.1 * CAPACITY


def test_weights_undo_the_draw():
    """At beta = 1 the weighted mean over draws is the plain mean over items."""
    replay = PrioritizedReplay(CAPACITY, alpha=0.8, normalize="none", strategy="iid")
    state, _ = life(replay, 60)
    keys = jax.random.split(jax.random.key(1), BATCHES)
    sample = jax.jit(jax.vmap(lambda key: replay.sample(state, key, BATCH, beta=1.0)))(keys)
    assert float(jnp.mean(sample.weights)) == pytest.approx(1.0, abs=0.02)
    assert float(jnp.mean(sample.weights * sample.items)) == pytest.approx(29.5, abs=0.6)
