"""A training step without an agent, for items and for streams: add, draw, re-prioritize."""

import jax
import jax.numpy as jnp

from jaxper import Items, TimeStep

BATCH = 16
ROWS, ENVS = 2, 4  # of steps in one add to a stream
ITEM = {"x": jax.ShapeDtypeStruct((5,), jnp.float32), "step": jax.ShapeDtypeStruct((), jnp.int32)}
FLAG = jax.ShapeDtypeStruct((), jnp.bool_)
STEP = TimeStep(ITEM["x"], ITEM["step"], jax.ShapeDtypeStruct((), jnp.float32), FLAG, FLAG)


def init(replay):
    return replay.init(ITEM if isinstance(replay.view, Items) else STEP)


def add(replay, state, key):
    if not isinstance(replay.view, Items):
        return replay.add(state, random_steps(key))
    rows = {"x": jax.random.normal(key, (12, 5)), "step": jnp.arange(12, dtype=jnp.int32)}
    return replay.add(state, rows, mask=rows["step"] != 3)


def random_steps(key):
    keys = jax.random.split(key, 3)
    shape = (ROWS, ENVS)
    return TimeStep(
        observation=jax.random.normal(keys[0], (*shape, 5)),
        action=jnp.zeros(shape, jnp.int32),
        reward=jax.random.normal(keys[1], shape),
        terminated=jax.random.bernoulli(keys[2], 0.2, shape),
        truncated=jnp.zeros(shape, bool),
    )


def learn(replay, state, key):
    """Priorities that depend on all that was drawn."""
    sample = replay.sample(state, key, BATCH, beta=0.5)
    sums = [leaf.reshape(BATCH, -1).sum(axis=1) for leaf in jax.tree.leaves(sample.items)]
    priorities = jnp.abs(sum(sums[1:], sums[0].astype(jnp.float32)) * sample.weights)
    return replay.update_priorities(state, sample.ids, priorities), priorities.sum()


def add_first(replay, state, key):
    return learn(replay, add(replay, state, key), key)


def learn_first(replay, state, key):
    state, output = learn(replay, state, key)
    return add(replay, state, key), output
