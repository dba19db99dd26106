"""Orders of calls that are in place, as the README says, beside once each in a step.

XLA copies what is read, written and read again inside of a `cond`, and what is written before a
draw from it was used.
"""

import jax
import jax.numpy as jnp
import pytest

from jaxper import Items, PrioritizedReplay
from tests.helpers import linear_agent as linear

CAPACITY = 2**18
FAR_BELOW_A_COPY = (
    30_000  # bytes: the leaves of the tree take a million, the level above 66 thousand
)
EVERY = 4


def one_turn_or_none(go, function, *carry):
    """As the README writes it."""
    return jax.lax.fori_loop(0, jnp.where(go, 1, 0), lambda _, carry: function(*carry), carry)


def learning_at_times(replay, params, state, time, key):
    state = linear.add(replay, state)

    def learn(params, state):
        return linear.learn(replay, params, state, key)

    return one_turn_or_none(time % EVERY == 0, learn, params, state)


def adding_at_times(replay, params, state, time, key):
    (state,) = one_turn_or_none(
        time % EVERY == 0, lambda state: (linear.add(replay, state),), state
    )
    return linear.learn(replay, params, state, key)


def learning_often(replay, params, state, time, key):
    def update(carry, key):
        return linear.learn(replay, carry[0], carry[1], key), None

    carry = params, linear.add(replay, state)
    return jax.lax.scan(update, carry, jax.random.split(key, EVERY))[0]


def two_draws(replay, params, state, time, key):
    """Draws twice; the items of the second draw get no new priority."""
    state = linear.add(replay, state)
    one, other = (replay.sample(state, k, 32) for k in jax.random.split(key))
    slope, errors = linear.gradient(params, one)
    params = params - slope - linear.gradient(params, other)[0]
    ids = jnp.concatenate([one.ids, other.ids])
    priorities = jnp.concatenate([errors, errors])
    return params, replay.update_priorities(state, ids, priorities, mask=jnp.arange(64) < 32)


def all_in_the_loss(replay, params, state, time, key):
    """A gradient takes items, stored and drawn, for constants."""

    def loss(params):
        added = linear.add(replay, state)
        sample = replay.sample(added, key, 32)
        errors = sample.items.reward - sample.items.observation @ params
        return jnp.mean(errors**2), replay.update_priorities(added, sample.ids, jnp.abs(errors))

    slope, state = jax.grad(loss, has_aux=True)(params)
    return params - slope, state


@pytest.mark.parametrize(
    ("step", "view"),
    [
        (learning_at_times, Items()),
        (learning_at_times, linear.STREAM),
        (adding_at_times, linear.STREAM),
        (learning_often, Items()),
        (two_draws, Items()),
        (all_in_the_loss, Items()),
    ],
)
def test_in_place(step, view):
    replay = PrioritizedReplay(CAPACITY, view=view)

    def loop(params, state, keys):
        def turn(carry, inputs):
            return step(replay, *carry, *inputs), None

        return jax.lax.scan(turn, (params, state), (jnp.arange(len(keys)), keys))[0]

    state = jax.eval_shape(replay.init, linear.STEP)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 12))
    program = jax.jit(loop, donate_argnums=(0, 1)).lower(linear.PARAMS, state, keys).compile()
    memory = program.memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < FAR_BELOW_A_COPY


def test_what_is_drawn_ahead_is_updated_before_the_next_draw():
    replay = PrioritizedReplay(CAPACITY)

    def turn(carry, key):
        params, state, sample = carry
        slope, errors = linear.gradient(params, sample)
        state = linear.add(replay, replay.update_priorities(state, sample.ids, errors))
        return (params - slope, state, replay.sample(state, key, 32)), None

    state, key = jax.eval_shape(replay.init, linear.STEP), jax.eval_shape(jax.random.key, 0)
    sample = jax.eval_shape(lambda state, key: replay.sample(state, key, 32), state, key)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 12))
    loop = jax.jit(lambda carry, keys: jax.lax.scan(turn, carry, keys), donate_argnums=0)
    memory = loop.lower((linear.PARAMS, state, sample), keys).compile().memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < FAR_BELOW_A_COPY
