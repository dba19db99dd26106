"""Streams follow the reference through random lives; ids, counters and cost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxper import PrioritizedReplay, Sequences, TimeStep, Transitions, UniformReplay, cut
from tests.helpers.stream_lives import StreamLife, item, make, operations

# Together: both autoresets, paddings and boundaries; few and many steps, frames, environments.
VIEWS = [
    Transitions(1, 1),
    Transitions(3, 2, 0.9, 4),
    Transitions(2, 5, 0.8, 2, stack_axis=-1, padding="zeros", autoreset="next_step"),
    Transitions(5, 4, 1.0, 3, padding="zeros"),
    Sequences(1, 5, 3, autoreset="next_step"),
    Sequences(3, 3, 2, "cross", autoreset="next_step"),
]
MORE_VIEWS = [
    Transitions(2, 3, 0.9, autoreset="next_step"),
    Transitions(4, 1, 0.5, 4, autoreset="next_step"),
    Transitions(1, 2, 0.0, 3, autoreset="next_step"),
    Transitions(3, 5, 0.9, autoreset="next_step"),
    Transitions(1, 4, 0.9, 4, stack_axis=-1, padding="zeros"),
    Transitions(5, 3, 0.7, 2),
    Sequences(2, 4),
    Sequences(5, 1, 2, "cross"),
    Sequences(2, 2, 5, autoreset="next_step"),
    Sequences(1, 6, 4, "cross"),
    Transitions(20, 2, 0.9),
]


def least_rows(view):
    if isinstance(view, Sequences):
        return view.length
    return view.n_step + view.frame_stack


def live(replay, operations, back, **kinds):
    """One life whose ids begin `back` rows before they wrap, or at 0."""
    modulus = (2**32 - 1) // replay.capacity * replay.capacity
    next_id = modulus - back * replay.view.num_envs if back else 0
    life = StreamLife(replay, next_id, **kinds)
    for operation in operations:
        life.do(operation)


def follows_the_reference(replay, examples):
    rows = replay.capacity // replay.view.num_envs

    @settings(max_examples=examples, deadline=None, derandomize=True)
    @given(operations([1, 3 if rows > 3 else 2, rows]), st.integers(0, 12))
    def lives(operations, back):
        live(replay, operations, back)

    lives()


@pytest.mark.parametrize("view", VIEWS, ids=repr)
def test_a_stream_follows_the_reference(view):
    """Rings of the fewest rows that are allowed, up to a few more."""
    index = VIEWS.index(view)
    rows = least_rows(view) + [0, 1, 6][index % 3]
    follows_the_reference(make(view, max(rows, 2), uniform=index % 4 == 1), examples=10)


@pytest.mark.slow
@pytest.mark.parametrize("view", MORE_VIEWS, ids=repr)
def test_more_streams_follow_the_reference(view):
    index = MORE_VIEWS.index(view)
    rows = least_rows(view) + [9, 0, 1][index % 3]
    follows_the_reference(make(view, max(rows, 2), uniform=index % 4 == 3), examples=12)


def test_rewards_may_have_axes():
    replay = make(Transitions(2, 3, 0.9), 6)
    life = [("add", size, seed) for seed, size in enumerate([1, 3, 6, 1, 3])]
    live(replay, life, 3, reward_shape=(2,))


def one_environment(replay, ends):
    """A replay after one step for each of `ends`: 0, or 1 terminated, 2 truncated."""
    ends = np.array(ends)[:, None]
    code = np.arange(ends.size, dtype=np.float32)[:, None]
    steps = TimeStep(code, code, code, ends == 1, ends == 2)
    return replay.add(replay.init(jax.tree.map(lambda array: array[0, 0], steps)), steps)


def plain_steps(rows, envs=1):
    zeros, never = jnp.zeros((rows, envs)), jnp.zeros((rows, envs), bool)
    return TimeStep(zeros, zeros, zeros, never, never)


def starts_of(replay, state):
    leaves = np.asarray(state.tree.leaves).ravel()
    return np.flatnonzero(leaves[: replay.capacity]).tolist()


def test_an_example_by_hand():
    """Seven steps, the third truncated and the fifth terminated, folded by three."""
    view = Transitions(1, 3, 0.5)
    replay = PrioritizedReplay(16, view=view)
    state = one_environment(replay, [0, 0, 2, 0, 1, 0, 0])
    assert starts_of(replay, state) == [0, 1, 3]
    drawn = replay.get(state, jnp.array([0, 1, 3]))
    np.testing.assert_array_equal(drawn.reward, [0 + 0.5 * 1, 1, 3 + 0.5 * 4])
    np.testing.assert_array_equal(drawn.discount, [0.25, 0.5, 0])
    np.testing.assert_array_equal(drawn.next_observation[:2], [2, 2])

    replay = PrioritizedReplay(16, view=Transitions(1, 3, 0.5, autoreset="next_step"))
    state = one_environment(replay, [0, 0, 2, 0, 1, 0, 0])
    assert starts_of(replay, state) == [0, 1, 2]
    drawn = replay.get(state, jnp.array([0, 1, 2]))
    np.testing.assert_array_equal(drawn.reward, [0 + 0.5 + 0.5, 1 + 0.5 * 2, 2])
    np.testing.assert_array_equal(drawn.discount, [0.125, 0.25, 0.5])
    np.testing.assert_array_equal(drawn.next_observation, [3, 3, 3])


def test_a_start_that_died_is_not_revived():
    replay = PrioritizedReplay(6, view=Transitions(1, 2))
    state = one_environment(replay, [0] * 6)
    sample = replay.sample(state, jax.random.key(0), 16)
    assert set(np.asarray(sample.ids).tolist()) == {0, 1, 2, 3}
    later = replay.add(state, plain_steps(2))
    updated = replay.update_priorities(later, jnp.array([0, 1, 6, 7]), jnp.full(4, 9.0))
    np.testing.assert_array_equal(updated.tree.leaves, later.tree.leaves)
    assert starts_of(replay, updated) == [2, 3, 4, 5]
    assert float(updated.max_priority) == 1.0
    assert int(updated.stale) == 4


def test_a_retired_start_stays_retired():
    replay = PrioritizedReplay(8, epsilon=0.0, view=Transitions(1, 1))
    state = one_environment(replay, [0] * 4)
    state = replay.update_priorities(state, jnp.array([1]), jnp.zeros(1))
    state = replay.add(state, plain_steps(1))
    assert starts_of(replay, state) == [0, 2, 3]


def test_new_starts_get_the_largest_priority_when_they_become_live():
    replay = PrioritizedReplay(16, alpha=1.0, epsilon=0.0, view=Transitions(1, 2))
    state = one_environment(replay, [0] * 4)
    state = replay.update_priorities(state, jnp.array([0]), jnp.array([5.0]))
    state = replay.add(state, plain_steps(1))
    np.testing.assert_array_equal(np.asarray(state.tree.leaves)[0, :4], [5, 1, 5, 0])


def test_old_starts_keep_their_priority_until_they_die():
    """Those that lack frames once the ring wraps, too; the ring has 8 rows."""
    replay = PrioritizedReplay(8, alpha=1.0, epsilon=0.0, view=Transitions(1, 1, frame_stack=3))
    state = one_environment(replay, [0] * 6)
    state = replay.update_priorities(state, jnp.arange(2), jnp.array([5.0, 4.0]))
    found = []
    for _ in range(4):
        state = replay.add(state, plain_steps(1))
        found.append(np.asarray(state.tree.leaves)[0, :2].tolist())
    assert found == [[5, 4], [5, 4], [0, 0], [5, 0]]  # at last with step 8 in place of step 0


def test_the_discount_is_an_array_of_the_state():
    replay = UniformReplay(16, view=Transitions(1, 2, 0.9))
    assert one_environment(replay, [0] * 5).discount == jnp.float32(0.9)

    def folded(discount):
        state = one_environment(replay, [0] * 5)._replace(discount=discount)
        drawn = replay.get(state, jnp.array([1]))
        return drawn.reward[0], drawn.discount[0]

    rewards, discounts = jax.vmap(folded)(jnp.array([0.0, 0.5, 1.0]))
    np.testing.assert_array_equal(rewards, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(discounts, [0.0, 0.25, 1.0])
    states = jax.vmap(lambda d: replay.init(item(), discount=d))(jnp.array([0.1, 0.2]))
    np.testing.assert_allclose(states.discount, [0.1, 0.2], rtol=1e-6)


def test_an_empty_stream_can_be_cut():
    replay = UniformReplay(8, view=Transitions(2))
    state = replay.init(item())
    for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(cut(state)), strict=True):
        np.testing.assert_array_equal(before, after)


def test_no_rows_change_nothing():
    for view in (Transitions(2), Sequences(2, 3)):
        replay = UniformReplay(8, view=view)
        state = replay.init(jax.tree.map(lambda array: array[0, 0], plain_steps(1)))
        after = replay.add(state, plain_steps(0, envs=2))
        for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(after), strict=True):
            np.testing.assert_array_equal(a, b)


def test_no_rows_are_added_to_a_stream_that_one_thread_reads():
    replay = PrioritizedReplay(2**19, view=Transitions(2, 2, frame_stack=2))
    state = jax.eval_shape(replay.init, jax.tree.map(lambda array: array[0, 0], plain_steps(1)))
    after = jax.eval_shape(replay.add, state, plain_steps(0, envs=2))
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_draws_of_a_uniform_stream_are_uniform():
    replay = UniformReplay(40, view=Transitions(1, 2))
    state = one_environment(replay, [0, 0, 2, 0, 1, 0, 0, 0, 2, 2, 0, 0] * 3)
    sample = replay.sample(state, jax.random.key(0), 20_000)
    starts = starts_of(replay, state)
    counts = np.bincount(np.asarray(sample.ids), minlength=40)
    assert np.flatnonzero(counts).tolist() == starts
    assert stats.chisquare(counts[starts]).pvalue > 1e-3
    np.testing.assert_allclose(sample.probabilities, 1 / len(starts), rtol=1e-6)
    np.testing.assert_array_equal(sample.weights, 1.0)


def test_a_step_is_stored_once():
    """7,056 bytes of an Atari frame, action, reward; a byte of flags and the tree beyond them."""
    flag = jax.ShapeDtypeStruct((), jnp.bool_)
    frame = jax.ShapeDtypeStruct((84, 84), jnp.uint8)
    step = TimeStep(frame, jnp.int32(0), jnp.float32(0), flag, flag)
    capacity = 2**16
    for kind in (PrioritizedReplay, UniformReplay):
        replay = kind(capacity, view=Transitions(16, 3, frame_stack=4))
        beyond = replay.nbytes(step) / capacity - (84 * 84 + 4 + 4)
        assert beyond < 1 + 4.3
    state = jax.eval_shape(replay.init, step)
    assert [leaf.dtype for leaf in state.storage.steps.large] == [jnp.uint8]
