"""Prioritized replay against the reference, and row by row what bad input gets."""

import pickle

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.experimental import checkify

from jaxper import Items, PrioritizedReplay
from tests.helpers import reference
from tests.helpers.random_lives import Life, operations

CAPACITIES = [1, 2, 3, 7, 8, 17, 1000]
BAD = [np.nan, np.inf, -np.inf, -1.0]


def filled(capacity=8, rows=5, **config):
    """A replay whose items are 0, 1, ... with priorities 1, 2, ..."""
    replay = PrioritizedReplay(capacity, **config)
    state = replay.init(jnp.int32(0))
    values = jnp.arange(rows, dtype=jnp.int32)
    return replay, replay.add(state, values, priorities=values + 1)


@pytest.mark.parametrize("normalize", ["batch", "buffer", "none"])
@pytest.mark.parametrize("capacity", CAPACITIES)
@settings(max_examples=12, deadline=None)
@given(
    operations=operations,
    before_wrap=st.sampled_from([None, 0, 3, 20]),
    alpha=st.sampled_from([0.0, 0.6, 1.0]),
)
def test_a_life_follows_the_reference(capacity, normalize, operations, before_wrap, alpha):
    strategy = "iid" if capacity % 2 else "stratified"
    epsilon = 1e-6 if capacity in (7, 8) else 0.0
    replay = PrioritizedReplay(capacity, epsilon=epsilon, strategy=strategy, normalize=normalize)
    modulus = (2**32 - 1) // capacity * capacity
    next_id = 0 if before_wrap is None else (modulus - 1 - before_wrap)
    life = Life(replay, next_id, alpha)
    for operation in operations:
        life.do(operation)


def test_epsilon_keeps_priority_zero_drawable():
    replay, state = filled(epsilon=1e-3, alpha=1.0)
    state = replay.update_priorities(state, jnp.arange(5), jnp.zeros(5))
    np.testing.assert_allclose(replay.probabilities(state, jnp.arange(5)), 0.2, rtol=1e-5)


def test_priority_zero_retires_for_good():
    """The id is dead from then on, also for updates, until its slot is written again."""
    replay, state = filled(epsilon=0.0)
    state = replay.update_priorities(state, jnp.array([2]), jnp.array([0.0]))
    assert int(replay.size(state)) == 4
    again = replay.update_priorities(state, jnp.array([2]), jnp.array([5.0]))
    assert int(again.stale) == 1
    assert int(replay.size(again)) == 4
    assert 2 not in np.asarray(replay.sample(again, jax.random.key(0), 1000).ids)
    assert int(replay.size(replay.add(again, jnp.zeros(8, jnp.int32)))) == 8


def test_alpha_is_what_the_state_says():
    """Leaves that were written before alpha is replaced keep their old power."""
    replay, state = filled(alpha=1.0, epsilon=0.0)
    state = state._replace(alpha=jnp.float32(2.0))
    state = replay.update_priorities(state, jnp.array([4]), jnp.array([5.0]))
    np.testing.assert_allclose(
        replay.probabilities(state, jnp.arange(5)), np.array([1, 2, 3, 4, 25]) / 35, rtol=1e-6
    )


def test_new_items_get_the_largest_priority_so_far():
    replay, state = filled(rows=3, alpha=1.0, epsilon=0.0)
    assert float(state.max_priority) == 3.0
    state = replay.update_priorities(state, jnp.array([0]), jnp.array([2.9]))
    state = replay.add(state, jnp.array([9]))
    np.testing.assert_allclose(state.tree.leaves[0, :4], [2.9, 2.0, 3.0, 3.0], rtol=1e-6)
    state = replay.update_priorities(state, jnp.array([1]), jnp.array([3.7]))
    state = replay.add(state, jnp.array([10]))
    np.testing.assert_allclose(state.tree.leaves[0, :5], [2.9, 3.7, 3.0, 3.0, 3.7], rtol=1e-6)
    low = PrioritizedReplay(4)
    assert float(filled(rows=1)[1].max_priority) == 1.0
    state = low.add(low.init(jnp.int32(0)), jnp.array([0]), priorities=jnp.array([0.1]))
    assert float(state.max_priority) == 1.0


def test_a_running_maximum_is_raised_by_every_valid_row_and_no_other():
    replay, state = filled()
    ids = jnp.array([0, 0, 1, 7, 2])
    priorities = jnp.array([50.0, 2.0, np.inf, 900.0, 700.0])
    mask = jnp.array([True, True, True, True, False])
    state = replay.update_priorities(state, ids, priorities, mask=mask)
    assert float(state.max_priority) == 50.0
    assert (int(state.rejected), int(state.stale)) == (1, 1)


def test_of_equal_ids_the_last_valid_row_counts():
    replay, state = filled(alpha=1.0, epsilon=0.0)
    ids = jnp.array([3, 3, 3, 3])
    state = replay.update_priorities(
        state, ids, jnp.array([9.0, 6.0, np.nan, 1.0]), mask=jnp.array([True, True, True, False])
    )
    assert float(state.tree.leaves[0, 3]) == 6.0


def test_an_overwritten_id_changes_nothing_but_stale():
    replay, state = filled(capacity=4, rows=4)
    drawn = jnp.arange(4)
    later = replay.add(state, jnp.array([10, 11]))
    updated = replay.update_priorities(later, drawn[:2], jnp.array([100.0, 100.0]))
    assert int(updated.stale) == 2
    chex.assert_trees_all_equal(updated._replace(stale=later.stale), later)


@pytest.mark.parametrize("bad_id", [2**32 - 1, 5, 7, 8, 2**31])
def test_an_id_that_never_was_is_stale(bad_id):
    replay, state = filled()
    ids = jnp.array([bad_id], jnp.uint32)
    updated = replay.update_priorities(state, ids, jnp.array([100.0]))
    chex.assert_trees_all_equal(updated, state._replace(stale=jnp.uint32(1)))
    assert float(replay.probabilities(state, ids)[0]) == 0.0
    assert replay.get(state, ids).shape == (1,)


def test_negative_int32_ids_are_stale():
    replay, state = filled()
    updated = replay.update_priorities(state, jnp.array([-1, -8]), jnp.ones(2))
    assert int(updated.stale) == 2


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_priority_is_refused_and_counted(bad):
    replay, state = filled()
    updated = replay.update_priorities(state, jnp.array([1]), jnp.array([bad]))
    chex.assert_trees_all_equal(updated, state._replace(rejected=jnp.uint32(1)))
    added = replay.add(state, jnp.array([7]), priorities=jnp.array([bad]))
    plain = replay.add(state, jnp.array([7]))
    chex.assert_trees_all_equal(added, plain._replace(rejected=jnp.uint32(1)))
    masked = replay.add(state, jnp.array([7]), priorities=jnp.array([bad]), mask=jnp.array([False]))
    chex.assert_trees_all_equal(masked, state)
    reset = replay.reset_priorities(state, bad)
    chex.assert_trees_all_equal(reset, state._replace(rejected=jnp.uint32(1)))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "int8", "uint32"])
def test_priorities_of_any_real_dtype(dtype):
    replay, state = filled(alpha=1.0, epsilon=0.0)
    state = replay.update_priorities(state, jnp.arange(5), jnp.arange(1, 6).astype(dtype))
    np.testing.assert_array_equal(state.tree.leaves[0, :5], np.arange(1, 6, dtype=np.float32))


def test_checkify_reports_a_bad_priority_but_not_a_masked_one():
    replay, state = filled()
    update = checkify.checkify(
        jax.jit(lambda p, m: replay.update_priorities(state, jnp.arange(2), p, mask=m))
    )
    add = checkify.checkify(
        jax.jit(lambda p, m: replay.add(state, jnp.arange(2), priorities=p, mask=m))
    )
    bad = jnp.array([1.0, np.nan])
    for checked in (update, add):
        error, _ = checked(bad, jnp.array([True, True]))
        with pytest.raises(checkify.JaxRuntimeError, match="NaN, infinite or negative"):
            error.throw()
        error, _ = checked(bad, jnp.array([True, False]))
        error.throw()
    reset = checkify.checkify(jax.jit(lambda p: replay.reset_priorities(state, p)))
    assert "NaN, infinite or negative" in str(reset(jnp.inf)[0])
    reset(2.0)[0].throw()


def test_counters_saturate():
    replay, state = filled()
    state = state._replace(rejected=jnp.uint32(2**32 - 2), stale=jnp.uint32(2**32 - 1))
    bad = jnp.full(5, np.nan).at[3:].set(1.0)
    state = replay.update_priorities(state, jnp.array([0, 1, 2, 6, 7]), bad)
    assert (int(state.rejected), int(state.stale)) == (2**32 - 1, 2**32 - 1)


def test_an_empty_replay_gives_a_loss_of_zero():
    for normalize in ("batch", "buffer", "none"):
        replay = PrioritizedReplay(8, normalize=normalize)
        state = replay.init({"x": jnp.ones(3)})
        sample = replay.sample(state, jax.random.key(0), 4, beta=0.0)
        chex.assert_tree_all_finite(sample)
        assert (np.asarray(sample.ids) == 2**32 - 1).all()
        assert not np.any(sample.probabilities)
        assert not np.any(sample.weights)
        updated = replay.update_priorities(state, sample.ids, jnp.ones(4))
        assert int(updated.stale) == 4
        chex.assert_tree_all_finite(replay.stats(state))


@pytest.mark.slow
@pytest.mark.parametrize("normalize", ["batch", "buffer", "none"])
def test_nothing_is_nan_on_the_way_of_an_empty_draw(normalize):
    replay = PrioritizedReplay(8, normalize=normalize)
    checked = checkify.checkify(
        lambda state: replay.sample(state, jax.random.key(0), 4), errors=checkify.float_checks
    )
    checked(replay.init({"x": jnp.ones(3)}))[0].throw()


@pytest.mark.parametrize("normalize", ["batch", "buffer", "none"])
def test_weights_of_extreme_leaves_are_finite(normalize):
    replay = PrioritizedReplay(4, alpha=1.0, epsilon=0.0, normalize=normalize)
    state = replay.add(
        replay.init(jnp.int32(0)), jnp.arange(4), priorities=jnp.array([1e-38, 1e-9, 1e9, 3e38])
    )
    state = replay.update_priorities(state, jnp.array([3]), jnp.array([0.0]))
    sample = replay.sample(state, jax.random.key(0), 64, beta=1.0)
    chex.assert_tree_all_finite(sample)
    assert (np.asarray(sample.ids) == 2).all()
    if normalize == "batch":
        np.testing.assert_array_equal(sample.weights, 1.0)


def test_reset_priorities_revives_nothing():
    replay, state = filled(epsilon=0.0, alpha=0.5)
    state = replay.update_priorities(state, jnp.array([2]), jnp.array([0.0]))
    state = jax.jit(replay.reset_priorities)(state, 4.0)
    np.testing.assert_allclose(state.tree.leaves[0, :6], [2.0, 2.0, 0.0, 2.0, 2.0, 0.0], rtol=1e-6)
    assert float(state.max_priority) == 4.0
    assert float(replay.probabilities(state, jnp.array([0]))[0]) == 0.25


def test_after_a_reset_to_less_than_one_new_items_get_one():
    replay, state = filled(epsilon=0.0, alpha=1.0)
    state = replay.add(replay.reset_priorities(state, 0.5), jnp.array([9]))
    assert float(state.max_priority) == 0.5
    np.testing.assert_allclose(state.tree.leaves[0, :6], [0.5, 0.5, 0.5, 0.5, 0.5, 1.0], rtol=1e-6)
    retired = replay.reset_priorities(state, 0.0)
    assert int(replay.size(retired)) == 0
    assert int(replay.size(replay.add(retired, jnp.arange(3)))) == 3


@pytest.mark.parametrize("normalize", ["batch", "buffer"])
def test_stats(normalize):
    replay, state = filled(alpha=1.0, epsilon=0.0, normalize=normalize)
    stats = jax.jit(replay.stats)(state)
    leaves = np.arange(1, 6)
    expected = (5, 5 / 8, 15.0, 3.0, 1.0, 5.0, leaves.sum() ** 2 / (leaves**2).sum(), 5.0, 0, 0)
    np.testing.assert_allclose(np.array(stats, np.float64), expected, rtol=1e-6)
    huge = replay.update_priorities(state, jnp.arange(5), jnp.full(5, 1e38))
    assert float(replay.stats(huge).effective_sample_size) == pytest.approx(5)
    empty = replay.stats(replay.init(jnp.int32(0)))
    np.testing.assert_array_equal(np.array(empty), [0, 0, 0, 0, 0, 0, 0, 1, 0, 0])


def test_get_returns_what_a_draw_of_the_ids_returns():
    replay, state = filled(capacity=4, rows=4)
    state = replay.add(state, jnp.array([10, 11]))
    sample = replay.sample(state, jax.random.key(0), 16)
    np.testing.assert_array_equal(replay.get(state, sample.ids), sample.items)
    np.testing.assert_array_equal(replay.get(state, jnp.array([2, 3, 4, 5])), [2, 3, 10, 11])


def test_items_keep_their_dtypes_exactly():
    item = {"u8": np.uint8(0), "i32": np.int32(0), "b": np.bool_(False), "h": jnp.bfloat16(0)}
    replay = PrioritizedReplay(4)
    state = replay.init(item)
    rows = {
        "u8": np.array([255, 1], np.uint8),
        "i32": np.array([2**31 - 1, -(2**24) - 1], np.int32),
        "b": np.array([True, False]),
        "h": jnp.array([1.5, -2.0], jnp.bfloat16),
    }
    state = replay.add(state, rows)
    chex.assert_trees_all_equal(
        replay.get(state, jnp.array([0, 1])), jax.tree.map(jnp.asarray, rows)
    )


def test_a_batch_may_be_empty_or_as_large_as_the_replay():
    replay, state = filled()
    none = jnp.zeros(0, jnp.int32)
    chex.assert_trees_all_equal(replay.add(state, none), state)
    chex.assert_trees_all_equal(replay.update_priorities(state, none, jnp.zeros(0)), state)
    full = replay.add(state, jnp.arange(8) + 100)
    np.testing.assert_array_equal(replay.get(full, jnp.arange(5, 13)), np.arange(8) + 100)


def test_nbytes_is_what_init_takes():
    replay = PrioritizedReplay(1000, normalize="buffer")
    item = {"x": jnp.zeros((3, 2)), "y": jnp.uint8(0)}
    taken = sum(leaf.nbytes for leaf in jax.tree.leaves(replay.init(item)))
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), item)
    assert replay.nbytes(item) == replay.nbytes(shapes) == taken


def test_config_prints_compares_hashes_and_pickles():
    replay = PrioritizedReplay(8, alpha=0.5, view=Items())
    text = (
        "PrioritizedReplay(capacity=8, alpha=0.5, epsilon=1e-06, strategy='stratified', "
        "normalize='batch', view=Items())"
    )
    assert repr(replay) == text
    assert eval(text) == replay == pickle.loads(pickle.dumps(replay))
    assert hash(replay) == hash(PrioritizedReplay(8, alpha=0.5))
    assert repr(PrioritizedReplay(8, alpha=jnp.float32(0.5))) == repr(replay)
    assert replay != PrioritizedReplay(9, alpha=0.5)
    assert jax.tree.leaves(replay) == []


@pytest.mark.parametrize("capacity", [1, 17])
def test_the_formulas_of_known_implementations(capacity):
    """Weights over the whole buffer (OpenAI Baselines) and over the batch (Dopamine, dqn_zoo)."""
    priorities = np.random.default_rng(0).random(capacity) + 0.01
    for normalize in ("buffer", "batch"):
        replay = PrioritizedReplay(capacity, epsilon=0.0, normalize=normalize)
        state = replay.init(jnp.int32(0))
        rows = jnp.arange(capacity, dtype=jnp.int32)
        state = replay.add(state, rows, priorities=priorities.astype(np.float32))
        sample = replay.sample(state, jax.random.key(3), 32, beta=0.5)
        leaves = priorities**0.6
        p = leaves / leaves.sum()
        weights = (capacity * p[np.asarray(sample.ids)]) ** -0.5
        largest = (capacity * p.min()) ** -0.5 if normalize == "buffer" else weights.max()
        np.testing.assert_allclose(sample.weights, weights / largest, rtol=1e-5)
        np.testing.assert_allclose(sample.probabilities, p[np.asarray(sample.ids)], rtol=1e-5)


def test_reference_find_is_numpy_searchsorted():
    leaves = np.array([0.0, 2.0, 0.0, 1.0])
    assert [reference.find(leaves, mass) for mass in (0.0, 1.9, 2.0, 3.0)] == [1, 1, 3, 3]
