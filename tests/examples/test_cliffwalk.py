"""The Blind Cliffwalk is the paper's, and selects transitions as plain NumPy does."""

import sys
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import blind_cliffwalk
import cliffwalk
from greedy import GreedyReplay

STATES, SEEDS = 6, 60


def walk(actions):
    """The transitions of one episode: (state, action, reward, discount, where it led)."""
    states = len(actions)
    for state, action in enumerate(actions):
        if action != state % 2:
            return [*done(states, actions[:state]), (state, action, 0, 0)]
    return done(states, actions)


def done(states, actions):
    last = states - 1
    return [
        (state, action, int(state == last), 0 if state == last else state + 1)
        for state, action in enumerate(actions)
    ]


@pytest.mark.parametrize("states", [2, 3, 7])
def test_memory_is_what_every_sequence_of_actions_leads_to(states):
    expected = Counter(row for actions in product((0, 1), repeat=states) for row in walk(actions))
    memory = jax.tree.map(np.asarray, cliffwalk.make_memory(states, jax.random.key(0)))
    goes_on = memory.discount > 0
    led_to = np.where(goes_on, memory.next_observation, 0)
    rows = zip(memory.observation, memory.action, memory.reward, led_to, strict=True)
    assert Counter(tuple(int(value) for value in row) for row in rows) == expected
    assert len(memory.reward) == 2 ** (states + 1) - 2
    assert memory.reward.sum() == 1
    np.testing.assert_allclose(memory.discount[goes_on], 1 - 1 / states, rtol=1e-6)


def test_the_order_of_the_memory_is_random():
    one, two = (cliffwalk.make_memory(4, jax.random.key(seed)).observation for seed in range(2))
    assert (one != two).any()
    assert (jnp.diff(one) < 0).any()


@pytest.mark.parametrize("states", [2, 5])
def test_true_values_leave_no_error(states):
    weights = jnp.concatenate([cliffwalk.true_values(states), jnp.ones((1, 2))])
    steps = cliffwalk.make_transitions(states)
    after, errors = jax.vmap(cliffwalk.learn, (None, None, 0))(weights, jnp.float32(0), steps)
    np.testing.assert_allclose(errors, 0, atol=1e-6)
    np.testing.assert_allclose(after, jnp.tile(weights, (2 * states, 1, 1)), atol=1e-6)
    assert cliffwalk.mean_squared_error(weights, jnp.float32(0)) == 0
    assert cliffwalk.mean_squared_error(weights, jnp.float32(1)) == 1


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_learning_follows_the_gradient(bias):
    weights = cliffwalk.init_weights(4, jax.random.key(1))
    step = jax.tree.map(lambda array: array[2], cliffwalk.make_transitions(4))
    state, action = step.observation, step.action
    after, error = cliffwalk.learn(weights, jnp.float32(bias), step)
    gradient = jax.grad(lambda w: cliffwalk.q_values(w, bias)[state, action])(weights)
    np.testing.assert_allclose(after, weights + 0.25 * error * gradient, rtol=1e-6)
    q = np.asarray(cliffwalk.q_values(weights, jnp.float32(bias)))
    np.testing.assert_allclose(error, 0.75 * q[2].max() - q[1, 1], rtol=1e-6)


@pytest.mark.parametrize("capacity", [1, 2, 11, 16])
def test_greedy_draws_the_largest_and_of_equals_the_first(capacity):
    replay, random = GreedyReplay(capacity), np.random.default_rng(capacity)
    state = replay.add(replay.init(jnp.int32(0)), jnp.arange(capacity) * 10)
    priorities = np.ones(capacity)
    for _ in range(4 * capacity):
        sample = replay.sample(state, jax.random.key(0), 1)
        slot = int(np.argmax(priorities))
        assert int(sample.ids[0]) == slot
        assert int(sample.items[0]) == 10 * slot
        priorities[slot] = random.integers(0, 8) / 8
        new = jnp.array([priorities[slot]], jnp.float32)
        state = replay.update_priorities(state, sample.ids, new)


def plain_updates(selection, seed):
    """Updates that a table takes, in plain NumPy. Values are [state, whether acting right]."""
    random, discount = np.random.default_rng(seed), 1 - 1 / STATES
    occurrences = np.repeat(2 ** np.arange(STATES)[::-1], 2)
    memory = random.permutation(np.repeat(np.arange(2 * STATES), occurrences))
    leaves, q = np.ones(len(memory)), random.normal(0, 0.1, (STATES, 2))
    true = np.stack([np.zeros(STATES), discount ** np.arange(STATES)[::-1]], axis=1)
    for count in range(1, 100_000):
        row = random.choice(len(memory), p=leaves / leaves.sum())
        state, right = memory[row] // 2, memory[row] % 2
        follows = 1.0 if state == STATES - 1 else discount * q[min(state + 1, STATES - 1)].max()
        error = right * follows - q[state, right]
        q[state, right] += 0.25 * error
        if selection == "proportional":
            leaves[row] = (abs(error) + 1e-6) ** 0.6
        if np.mean((q - true) ** 2) < 1e-3:
            return count
    raise AssertionError("it never learned")


@pytest.fixture(scope="module")
def updates():
    keys = jax.random.split(jax.random.key(2), SEEDS)
    quiet = tqdm(disable=True)
    names = blind_cliffwalk.SELECTIONS
    return {name: blind_cliffwalk.count_updates(name, STATES, keys, quiet) for name in names}


@pytest.mark.parametrize("selection", ["uniform", "proportional"])
def test_updates_are_spread_as_in_plain_numpy(updates, selection):
    plain = [plain_updates(selection, seed) for seed in range(SEEDS)]
    found: Any = stats.ks_2samp(updates[selection][0], plain)
    assert found.pvalue > 0.01


def test_proportional_needs_fewer_updates_by_the_expected_factor(updates):
    """Plain NumPy over 400 seeds: 4.0 times fewer with a table."""
    factors = np.median(updates["uniform"], axis=1) / np.median(updates["proportional"], axis=1)
    assert 3.4 < factors[0] < 4.7
    assert 1.8 < factors[1] < 3.2


def test_the_better_informed_need_fewer(updates):
    medians = [np.median(updates[name], axis=1) for name in ("oracle", "greedy", "proportional")]
    assert (np.diff(medians, axis=0) > 0).all()
    assert (np.median(updates["greedy"], axis=1) > 2 ** (STATES + 1) - 2).all()


def test_a_run_that_is_never_done_is_given_up(monkeypatch):
    monkeypatch.setattr(blind_cliffwalk, "SMALL_ERROR", -1.0)
    keys = jax.random.split(jax.random.key(0), 1)  # so few that no other test runs this program
    found = blind_cliffwalk.count_updates("oracle", 2, keys, tqdm(disable=True))
    assert np.isinf(found).all()
