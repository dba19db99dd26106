"""A step of a small batch is one thread's: to wake another takes longer than its operations do.

XLA on a CPU hands half of what is ready to another thread once more than eight operations are, and
gives to all threads what reads from a large array or computes much. A chain of elementwise
operations it computes again in each operation that reads it.
"""

import os

import jax
import jax.numpy as jnp
import pytest

from jaxper import Items, PrioritizedReplay, Sequences, Transitions, UniformReplay
from tests.helpers import scheduled_ops as ready
from tests.helpers.training_step import STEP

ADDED, MOST = 64, 8
TRANSITION = {
    "observation": jax.ShapeDtypeStruct((8,), jnp.float32),
    "action": jax.ShapeDtypeStruct((), jnp.int32),
    "reward": jax.ShapeDtypeStruct((), jnp.float32),
    "next_observation": jax.ShapeDtypeStruct((8,), jnp.float32),
}
STREAM = Transitions(num_envs=16, n_step=3, frame_stack=2)
SEQUENCES = Sequences(num_envs=16, length=8, period=4)
LARGE = PrioritizedReplay(2**20)
CASES = [
    (PrioritizedReplay(2**14), TRANSITION, 32),
    (PrioritizedReplay(2**14, normalize="buffer"), TRANSITION, 32),
    (LARGE, TRANSITION, 256),
    (PrioritizedReplay(2**20, view=STREAM), STEP, 32),
    (PrioritizedReplay(2**14, view=SEQUENCES), STEP, 32),
    (UniformReplay(2**14), TRANSITION, 256),
]
SLOW = [
    (PrioritizedReplay(2**20, view=STREAM), STEP, 256),
    (PrioritizedReplay(2**20, view=SEQUENCES), STEP, 32),
    (LARGE, TRANSITION, 32),
    (PrioritizedReplay(10**7), TRANSITION, 256),
    (PrioritizedReplay(2**20, normalize="buffer"), TRANSITION, 256),
    (PrioritizedReplay(2**20, strategy="iid", normalize="none"), TRANSITION, 256),
    (UniformReplay(2**20, view=STREAM), STEP, 32),
]
pytestmark = pytest.mark.skipif(jax.default_backend() != "cpu", reason="it is about a CPU")
CASES += [pytest.param(*case, marks=pytest.mark.slow) for case in SLOW]


def steps(replay, batch):
    """Add, draw, and re-prioritize with an error of all that was drawn, many times."""

    def step(state, rows, key):
        state = replay.add(state, rows)
        sample = replay.sample(state, key, batch)
        leaves = jax.tree.leaves((sample.items, sample.probabilities, sample.weights))
        errors = sum(leaf.reshape(batch, -1).astype(jnp.float32).sum(axis=1) for leaf in leaves)
        return replay.update_priorities(state, sample.ids, jnp.abs(errors)), jnp.sum(errors)

    return lambda state, rows, keys: jax.lax.scan(lambda s, key: step(s, rows, key), state, keys)


@pytest.mark.parametrize(("replay", "item", "batch"), CASES, ids=repr)
def test_a_step_is_one_threads(replay, item, batch):
    lead = (ADDED,) if item is TRANSITION else (ADDED // 16, 16)
    rows = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((*lead, *leaf.shape), leaf.dtype), item)
    state = jax.eval_shape(replay.init, item)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 10))
    loop = ready.longest_loop(steps(replay, batch), state, rows, keys)
    assert ready.most(loop) <= MOST
    assert ready.shared(loop) == []


def test_a_step_of_one_replay_under_vmap_is_one_threads():
    """As of one seed, in a program that can train many."""
    replay = PrioritizedReplay(2**20, view=STREAM)
    step = steps(replay, 32)
    state, rows, keys = (
        jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), tree)
        for tree in (
            jax.eval_shape(replay.init, STEP),
            jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((4, 16, *leaf.shape), leaf.dtype), STEP),
            jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 10)),
        )
    )
    loop = ready.longest_loop(jax.vmap(step), state, rows, keys)
    assert ready.most(loop) <= MOST
    assert ready.shared(loop) == []


@pytest.mark.parametrize("view", [Items(), STREAM], ids=repr)
def test_a_draw_called_alone_is_one_threads(view):
    """Also where it is the whole program, whose constants and numbers are all ready at first."""
    replay = PrioritizedReplay(10_000, view=view)
    state = jax.eval_shape(replay.init, TRANSITION if view == Items() else STEP)

    def draw(state, key):
        return replay.sample(state, key, 256)

    def learn(state, key):
        sample = draw(state, key)
        return replay.update_priorities(state, sample.ids, sample.weights)

    for jitted in (jax.jit(draw), jax.jit(learn, donate_argnums=0)):
        program = ready.program(jitted, state, jax.eval_shape(jax.random.key, 0))
        assert ready.most(program) <= MOST
        assert ready.shared(program) == []


@pytest.mark.skipif(os.cpu_count() == 1, reason="there is one thread")
def test_what_all_threads_get_is_seen():
    program = ready.program(jax.jit(jnp.sin), jax.ShapeDtypeStruct((2**20,), jnp.float32))
    assert len(ready.shared(program)) == 1


def test_uniform_ids_are_computed_once():
    """Not again in the chances, the weights and each leaf that is read."""
    replay = UniformReplay(2**14)
    state = jax.eval_shape(replay.init, TRANSITION)
    draw = jax.jit(replay.sample, static_argnums=2)
    compiled = draw.lower(state, jax.eval_shape(jax.random.key, 0), 4096).compile()
    assert str(compiled.as_text()).count(" multiply(") == 9  # one, and four in each upper word


@pytest.mark.parametrize("batch", [32, 512])
def test_given_priorities_are_computed_once(batch):
    """Not again in whatever reads them: the check, the counters, the maximum and the leaves."""
    state = jax.eval_shape(LARGE.init, jnp.float32(0))
    ids, values = (jax.ShapeDtypeStruct((batch,), dtype) for dtype in (jnp.uint32, jnp.float32))

    def add(state, _, values):
        return LARGE.add(state, values, priorities=jnp.floor(values))

    def update(state, ids, values):
        return LARGE.update_priorities(state, ids, jnp.floor(values))

    for function in (add, update):
        compiled = jax.jit(function, donate_argnums=0).lower(state, ids, values).compile()
        assert str(compiled.as_text()).count(" floor(") == 1
