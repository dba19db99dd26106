"""An agent with a linear value that stores one row at a time, of items or of a stream."""

import jax
import jax.numpy as jnp

from jaxper import Items, TimeStep, Transitions

FLAG = jnp.bool_(False)
STEP = TimeStep(jnp.zeros(4), jnp.int32(0), jnp.float32(0), FLAG, FLAG)
STREAM = Transitions(num_envs=8, n_step=3)
PARAMS = jnp.ones(4)


def add(replay, state):
    leading = (1,) if isinstance(replay.view, Items) else (1, STREAM.num_envs)
    row = jax.tree.map(lambda array: jnp.broadcast_to(array, leading + array.shape), STEP)
    return replay.add(state, row)


def gradient(params, sample):
    """And the error of each row."""

    def loss(params):
        value = sample.items.observation @ params * sample.items.action
        errors = sample.items.reward - value
        return jnp.mean(sample.weights * errors**2), errors

    slope, errors = jax.grad(loss, has_aux=True)(params)
    return slope, jnp.abs(errors)


def learn(replay, params, state, key, batch_size=32):
    """One update: params and state."""
    sample = replay.sample(state, key, batch_size)
    slope, errors = gradient(params, sample)
    return params - slope, replay.update_priorities(state, sample.ids, errors)
