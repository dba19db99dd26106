"""One row added, few priorities updated: in place as well, though XLA treats one row as a slice."""

import jax
import jax.numpy as jnp
import pytest

from jaxper import Items, PrioritizedReplay, UniformReplay
from tests.helpers import linear_agent as linear
from tests.replay.test_transforms import in_a_loop, temporary_bytes

CAPACITY = 2**18
FAR_BELOW_A_COPY = 500_000  # bytes: the leaves of the tree take a million, the actions as many


def learning(batch_size):
    """A step that adds one row, draws, and updates."""

    def step(replay, state, key):
        state = linear.add(replay, state)
        params, state = linear.learn(replay, linear.PARAMS, state, key, batch_size)
        return state, params

    return step


def one_under_vmap(step):
    def run(replay, states, key):
        return jax.vmap(lambda state: step(replay, state, key))(states)

    return run


@pytest.mark.parametrize("batch_size", [1, 5, 32])
def test_one_item_is_added_in_place(batch_size):
    replay = PrioritizedReplay(CAPACITY)
    state = jax.eval_shape(replay.init, linear.STEP)
    assert temporary_bytes(in_a_loop(learning(batch_size)), replay, state) < FAR_BELOW_A_COPY


@pytest.mark.parametrize("replay", [PrioritizedReplay, UniformReplay])
def test_one_row_of_a_stream_is_added_in_place_before_a_large_draw(replay):
    replay = replay(CAPACITY, view=linear.STREAM)
    state = jax.eval_shape(replay.init, linear.STEP)
    assert temporary_bytes(in_a_loop(learning(600)), replay, state) < FAR_BELOW_A_COPY


@pytest.mark.parametrize("view", [Items(), linear.STREAM], ids=repr)
def test_one_row_is_added_in_place_under_vmap_of_one(view):
    replay = PrioritizedReplay(CAPACITY, view=view)
    state = jax.eval_shape(jax.vmap(lambda _: replay.init(linear.STEP)), jnp.zeros(1))
    step = in_a_loop(one_under_vmap(learning(64)))
    assert temporary_bytes(step, replay, state) < FAR_BELOW_A_COPY
