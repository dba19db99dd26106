"""Uniform replay: the same interface, every stored item equally likely."""

import inspect
import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import PrioritizedReplay, UniformReplay


def filled(capacity, rows):
    replay = UniformReplay(capacity)
    state = replay.init(jnp.int32(0))
    for start in range(0, rows, capacity):
        values = jnp.arange(start, min(start + capacity, rows), dtype=jnp.int32)
        state = replay.add(state, values)
    return replay, state


def test_it_takes_what_prioritized_replay_takes():
    """Every public method of one has the parameters of the other."""

    def methods(replay):
        return {
            name: list(inspect.signature(member).parameters)
            for name, member in inspect.getmembers(replay, inspect.isfunction)
            if not name.startswith("_")
        }

    assert methods(UniformReplay) == methods(PrioritizedReplay)


@pytest.mark.parametrize(("capacity", "rows"), [(1, 1), (7, 3), (7, 7), (7, 17)])
def test_ids_items_and_probabilities(capacity, rows):
    replay, state = filled(capacity, rows)
    size = min(capacity, rows)
    sample = replay.sample(state, jax.random.key(0), 300)
    assert set(np.asarray(sample.ids).tolist()) == set(range(rows - size, rows))
    np.testing.assert_array_equal(sample.items, np.asarray(sample.ids, np.int32))
    np.testing.assert_allclose(sample.probabilities, 1 / size, rtol=1e-6)
    np.testing.assert_array_equal(sample.weights, 1.0)
    assert int(replay.size(state)) == size
    np.testing.assert_array_equal(replay.get(state, sample.ids), sample.items)
    gone = jnp.array([rows, 2**32 - 1], jnp.uint32)
    np.testing.assert_array_equal(replay.probabilities(state, gone), 0.0)


def test_what_concerns_priorities_is_ignored():
    replay, state = filled(7, 5)
    assert replay.update_priorities(state, jnp.arange(2), jnp.array([np.nan, 1.0])) is state
    assert replay.reset_priorities(state, 3.0) is state
    plain = replay.add(state, jnp.array([1, 2]))
    chex.assert_trees_all_equal(
        replay.add(state, jnp.array([1, 2]), priorities=jnp.array([np.inf, 2.0])), plain
    )
    chex.assert_trees_all_equal(replay.init(jnp.int32(0), alpha=0.3), replay.init(jnp.int32(0)))


def test_masked_rows_are_not_stored():
    replay, state = filled(4, 3)
    state = replay.add(state, jnp.array([10, 11, 12]), mask=jnp.array([True, False, True]))
    np.testing.assert_array_equal(state.storage.words[:, 0], [12, 1, 2, 10])
    assert int(state.next_id) == 5


def test_an_empty_replay_weighs_nothing():
    replay = UniformReplay(4)
    sample = replay.sample(replay.init(jnp.ones(2)), jax.random.key(0), 3)
    assert (np.asarray(sample.ids) == 2**32 - 1).all()
    assert not np.any(sample.probabilities)
    assert not np.any(sample.weights)


def test_ids_wrap_with_the_counter():
    replay = UniformReplay(7)
    modulus = (2**32 - 1) // 7 * 7
    state = replay.init(jnp.int32(0))._replace(next_id=jnp.uint32(modulus - 2))
    state = replay.add(state, jnp.arange(5))
    sample = replay.sample(state, jax.random.key(0), 200)
    drawn = dict(zip(np.asarray(sample.ids).tolist(), np.asarray(sample.items), strict=True))
    assert drawn == {modulus - 2: 0, modulus - 1: 1, 0: 2, 1: 3, 2: 4}


def test_stats_and_nbytes():
    replay, state = filled(8, 5)
    np.testing.assert_allclose(
        np.array(replay.stats(state)), [5, 5 / 8, 5, 1, 1, 1, 5, 1, 0, 0], rtol=1e-6
    )
    np.testing.assert_array_equal(
        np.array(replay.stats(replay.init(jnp.int32(0)))), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0]
    )
    assert replay.nbytes(jnp.int32(0)) == sum(leaf.nbytes for leaf in jax.tree.leaves(state))


def test_config_prints_compares_hashes_and_pickles():
    replay = UniformReplay(8)
    assert repr(replay) == "UniformReplay(capacity=8, view=Items())"
    assert pickle.loads(pickle.dumps(replay)) == replay
    assert hash(replay) == hash(UniformReplay(8))
