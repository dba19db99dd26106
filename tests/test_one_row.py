"""One row added, few priorities updated: in place as well, though XLA treats one row as a slice."""

import jax
import jax.numpy as jnp
import pytest
from test_transforms import in_a_loop, temporary_bytes

from jaxper import Items, PrioritizedReplay, TimeStep, Transitions, UniformReplay

FLAG = jnp.bool_(False)
STEP = TimeStep(jnp.zeros(4), jnp.int32(0), jnp.float32(0), FLAG, FLAG)
CAPACITY = 2**18
FAR_BELOW_A_COPY = 500_000  # bytes: the leaves of the tree take a million, the actions as many
STREAM = Transitions(num_envs=8, n_step=3)


def learning(batch_size):
    """A step that adds one row, draws, and updates with the errors of a linear value."""

    def step(replay, state, key):
        stream = not isinstance(replay.view, Items)
        leading = (1, STREAM.num_envs) if stream else (1,)
        row = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, leading + leaf.shape), STEP)
        state = replay.add(state, row)
        sample = replay.sample(state, key, batch_size)

        def loss(weights):
            value = sample.items.observation @ weights * sample.items.action
            errors = sample.items.reward - value
            return jnp.mean(sample.weights * errors**2), errors

        gradient, errors = jax.grad(loss, has_aux=True)(jnp.ones(4))
        return replay.update_priorities(state, sample.ids, jnp.abs(errors)), gradient

    return step


def one_under_vmap(step):
    def run(replay, states, key):
        return jax.vmap(lambda state: step(replay, state, key))(states)

    return run


@pytest.mark.parametrize("batch_size", [1, 5, 32])
def test_one_item_is_added_in_place(batch_size):
    replay = PrioritizedReplay(CAPACITY)
    state = jax.eval_shape(replay.init, STEP)
    assert temporary_bytes(in_a_loop(learning(batch_size)), replay, state) < FAR_BELOW_A_COPY


@pytest.mark.parametrize("replay", [PrioritizedReplay, UniformReplay])
def test_one_row_of_a_stream_is_added_in_place_before_a_large_draw(replay):
    replay = replay(CAPACITY, view=STREAM)
    state = jax.eval_shape(replay.init, STEP)
    assert temporary_bytes(in_a_loop(learning(600)), replay, state) < FAR_BELOW_A_COPY


@pytest.mark.parametrize("view", [Items(), STREAM], ids=repr)
def test_one_row_is_added_in_place_under_vmap_of_one(view):
    replay = PrioritizedReplay(CAPACITY, view=view)
    state = jax.eval_shape(jax.vmap(lambda _: replay.init(STEP)), jnp.zeros(1))
    step = in_a_loop(one_under_vmap(learning(64)))
    assert temporary_bytes(step, replay, state) < FAR_BELOW_A_COPY
