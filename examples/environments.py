"""Environments of gymnax in lockstep, and the returns of their episodes."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

# For each environment its name in gymnax, and a dtype that holds its observations without loss.
NAMES = {
    "asterix": ("Asterix-MinAtar", jnp.bool_),
    "breakout": ("Breakout-MinAtar", jnp.bool_),
    "cartpole": ("CartPole-v1", jnp.float32),
    "catch": ("Catch-bsuite", jnp.bool_),
    "deep_sea": ("DeepSea-bsuite", jnp.bool_),
    "space_invaders": ("SpaceInvaders-MinAtar", jnp.bool_),
}

# This is the smallest size in bsuite.
OPTIONS = {"deep_sea": {"size": 10}}


class Game(NamedTuple):
    """One kind of environment."""

    env: Any
    params: Any
    dtype: Any  # of the observations
    title: str


class DelayedReset(NamedTuple):
    """A gymnax environment whose reset is delayed by one step."""

    state: Any
    first: Array  # the first observation of the next episode, if this one ended
    ended: Array  # bool []


class Envs(NamedTuple):
    """Environments in lockstep, and the returns of their episodes so far."""

    delayed: DelayedReset  # arrays [envs, ...]
    observations: Array  # [envs, ...]
    returns: Array  # float32 [envs]


class Outcome(NamedTuple):
    """The outcome of one step of all environments."""

    reward: Array  # float32 [envs]
    terminated: Array  # bool [envs]
    truncated: Array  # bool [envs]
    finished: tuple[Array, Array]  # sum and number of the returns of the episodes that ended


def make(name: str) -> Game:
    """Returns the environment of this name."""
    # This import starts the devices of JAX, which has to wait until all processes have joined.
    import gymnax

    title, dtype = NAMES[name]
    env, params = gymnax.make(title, **OPTIONS.get(name, {}))
    return Game(env, params, dtype, title)


def step_one(game: Game, key: Array, delayed: DelayedReset, action: Array):
    """Steps one environment, with its reset delayed.

    After an end comes an ignored row, which holds the final observation of the episode.
    """
    first, state, reward, terminated, truncated, info = game.env.step(
        key, delayed.state, action, game.params
    )
    after = DelayedReset(state, first, terminated | truncated)
    stepped = (after, info["final_observation"], reward, terminated, truncated)
    after = delayed._replace(ended=jnp.bool_(False))
    reset = (after, delayed.first, 0.0, False, False)
    return jax.tree.map(partial(jnp.where, delayed.ended), reset, stepped)


def reset(game: Game, key: Array, count: int) -> Envs:
    """Returns this many environments at the beginning of their episodes."""
    keys = jax.random.split(key, count)
    observations, state = jax.vmap(game.env.reset, (0, None))(keys, game.params)
    delayed = DelayedReset(state, observations, jnp.zeros(count, bool))
    return Envs(delayed, observations.astype(game.dtype), jnp.zeros(count))


def step(game: Game, key: Array, envs: Envs, actions: Array) -> tuple[Envs, Outcome]:
    """Steps all environments. After an end comes an ignored row, with the final observation."""
    keys = jax.random.split(key, len(actions))
    delayed, observations, reward, terminated, truncated = jax.vmap(partial(step_one, game))(
        keys, envs.delayed, actions
    )
    ended = terminated | truncated
    returns = envs.returns + reward
    finished = (jnp.sum(returns * ended), jnp.sum(ended))
    envs = Envs(delayed, observations.astype(game.dtype), jnp.where(ended, 0.0, returns))
    return envs, Outcome(reward, terminated, truncated, finished)


def measure_random_return(game: Game, key: Array, count: int = 16, length: int = 2000) -> float:
    """Returns the mean return of the episodes that uniformly random actions finish."""

    def step_randomly(envs: Envs, key: Array):
        action_key, step_key = jax.random.split(key)
        actions = jax.random.randint(action_key, (count,), 0, game.env.num_actions)
        envs, outcome = step(game, step_key, envs, actions)
        return envs, outcome.finished

    reset_key, key = jax.random.split(key)
    keys = jax.random.split(key, length)
    _, (total, number) = jax.lax.scan(step_randomly, reset(game, reset_key, count), keys)
    return float(total.sum() / number.sum())
