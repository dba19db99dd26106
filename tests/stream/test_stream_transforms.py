"""Streams under jit, scan, vmap, donation and x64: the same meaning, in place."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import Items, PrioritizedReplay, Sequences, Transitions, UniformReplay, cut
from tests.helpers.stream_lives import StreamLife, make
from tests.helpers.training_step import ENVS, STEP, add, add_first, init, learn_first, random_steps
from tests.replay.test_transforms import MANY, in_a_loop, side_by_side, temporary_bytes

TRANSITIONS = Transitions(ENVS, 3, frame_stack=2, padding="zeros", autoreset="next_step")
SEQUENCES = Sequences(ENVS, 5, 2)
LARGE = 2**14  # enough for a level that is written row by row, and for reads by one thread
FAR = 2**19  # slots, whose flags one thread reads by an update of a slice
KEY = jax.random.key(0)


@pytest.mark.parametrize(
    "view", [SEQUENCES, pytest.param(TRANSITIONS, marks=pytest.mark.slow)], ids=repr
)
def test_scan_under_vmap_is_a_loop(view):
    replay = PrioritizedReplay(LARGE, view=view)
    keys = jax.random.split(jax.random.key(0), (3, 12))

    @jax.jit
    def together(keys):
        states = jax.vmap(lambda _: init(replay))(jnp.arange(3))
        one = jax.vmap(lambda state, key: add_first(replay, state, key))
        return jax.lax.scan(one, states, keys.swapaxes(0, 1))

    step = jax.jit(add_first)
    states, outputs = together(keys)
    for seed in range(3):
        state = init(replay)
        for i, key in enumerate(keys[seed]):
            state, output = step(replay, state, key)
            np.testing.assert_allclose(outputs[i, seed], output, rtol=1e-4)
        mine = jax.tree.map(lambda array, seed=seed: array[seed], states)
        chex.assert_trees_all_close(mine, state, rtol=1e-4)


@pytest.mark.parametrize(
    "view", [SEQUENCES, pytest.param(TRANSITIONS, marks=pytest.mark.slow)], ids=repr
)
def test_one_replay_under_vmap_inside_of_many(view):
    """One replay is read on one thread; the many around it are not."""
    replay, keys = PrioritizedReplay(LARGE, view=view), jax.random.split(KEY, (2, 1))
    states = jax.vmap(jax.vmap(lambda _: init(replay)))(jnp.zeros((2, 1)))
    step = jax.jit(jax.vmap(jax.vmap(lambda state, key: add_first(replay, state, key))))
    outputs = step(states, keys)[1]
    for many, key in enumerate(keys[:, 0]):
        np.testing.assert_allclose(
            outputs[many, 0], add_first(replay, init(replay), key)[1], rtol=1e-4
        )


def test_equal_configs_are_traced_once():
    step = jax.jit(chex.assert_max_traces(add, n=1))
    for _ in range(3):
        view = Transitions(num_envs=ENVS, n_step=2)
        replay = UniformReplay(10 * ENVS, view=view)
        step(replay, cut(replay.init(STEP, discount=0.5)), jax.random.key(0))


CASES = [
    (PrioritizedReplay(LARGE, view=TRANSITIONS), add_first),
    (PrioritizedReplay(LARGE, view=TRANSITIONS), learn_first),
    (UniformReplay(LARGE, view=TRANSITIONS), add_first),
    (PrioritizedReplay(LARGE, view=SEQUENCES), learn_first),
    (PrioritizedReplay(FAR, view=TRANSITIONS), learn_first),
]


@pytest.mark.slow
@pytest.mark.parametrize(("replay", "step"), CASES)
def test_nothing_is_copied_under_donation(replay, step):
    """Temporary memory is that of the batch; leaves of the tree take 66 kB, the storage 475 kB."""
    state = jax.eval_shape(lambda: init(replay))
    states = jax.eval_shape(jax.vmap(lambda _: init(replay)), jnp.arange(MANY))
    assert temporary_bytes(in_a_loop(step), replay, state) < 25_000
    assert temporary_bytes(in_a_loop(side_by_side(step)), replay, states) < MANY * 25_000


@pytest.mark.parametrize(
    "view", [SEQUENCES, pytest.param(TRANSITIONS, marks=pytest.mark.slow)], ids=repr
)
def test_each_replay_draws_once_it_is_ready(view):
    """A `cond` whose predicate differs between replays side by side runs both branches."""
    replay = UniformReplay(LARGE, view=view)
    fill = jax.jit(jax.vmap(lambda key: add(replay, init(replay), key)))
    states = fill(jax.random.split(KEY, 2))

    def draw(state):
        return replay.sample(state, KEY, 8).items

    def draw_if(ready, state):
        nothing = jax.tree.map(lambda array: jnp.zeros(array.shape, array.dtype), items)
        return jax.lax.cond(ready, draw, lambda _: nothing, state)

    items = jax.eval_shape(draw, jax.tree.map(lambda array: array[0], states))
    drawn = jax.jit(jax.vmap(draw_if))(jnp.array([False, True]), states)
    expected = jax.jit(draw)(jax.tree.map(lambda array: array[1], states))
    chex.assert_trees_all_equal(jax.tree.map(lambda array: array[1], drawn), expected)
    assert not any(leaf[0].any() for leaf in jax.tree.leaves(drawn))


def test_a_cut_is_in_place():
    replay = PrioritizedReplay(LARGE, view=TRANSITIONS)
    state = jax.eval_shape(lambda: init(replay))
    assert temporary_bytes(lambda replay, state, key: cut(state), replay, state) < 1000


@pytest.mark.parametrize("view", [Items(), TRANSITIONS, SEQUENCES], ids=repr)
def test_promotion_is_never_left_to_jax(view):
    replay = UniformReplay(10 * ENVS, view=view)
    steps = random_steps(jax.random.key(0))
    steps = steps if not isinstance(view, Items) else steps.observation[:, 0]
    state = replay.init(STEP if not isinstance(view, Items) else STEP.observation)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        state = jax.jit(replay.add)(state, steps)
        jax.jit(lambda state, key: replay.sample(state, key, 4))(state, jax.random.key(1))


@pytest.mark.parametrize(
    "view",
    [Transitions(2, 2, frame_stack=3), pytest.param(Sequences(2, 3, 2), marks=pytest.mark.slow)],
    ids=repr,
)
def test_x64_changes_nothing(view):
    replay = make(view, 7)
    with jax.enable_x64(True):
        life = StreamLife(replay, next_id=(2**32 - 1) // 14 * 14 - 6)
        for seed, name in enumerate(["add", "add", "update drawn", "cut", "add", "add"]):
            life.do((name, [3, 7][seed % 2], seed))
        dtypes = [leaf.dtype for leaf in jax.tree.leaves(life.state)]
    plain = StreamLife(replay).state
    assert dtypes == [leaf.dtype for leaf in jax.tree.leaves(plain)]
