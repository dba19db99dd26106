"""Environments of gymnax in lockstep, and the returns of their episodes."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

NAMES = {  # name: gymnax's name, a dtype that holds its observations without loss
    "asterix": ("Asterix-MinAtar", jnp.bool_),
    "breakout": ("Breakout-MinAtar", jnp.bool_),
    "cartpole": ("CartPole-v1", jnp.float32),
    "catch": ("Catch-bsuite", jnp.bool_),
    "deep_sea": ("DeepSea-bsuite", jnp.bool_),
    "space_invaders": ("SpaceInvaders-MinAtar", jnp.bool_),
}
OPTIONS = {"deep_sea": {"size": 10}}  # bsuite's smallest


class Game(NamedTuple):
    """One kind of environment."""

    env: Any
    params: Any
    dtype: Any  # of observations
    title: str


class DelayedReset(NamedTuple):
    """A gymnax environment whose reset is held back by one step."""

    state: Any
    first: Array  # the next episode's first observation, where this one ended
    ended: Array  # bool


class Envs(NamedTuple):
    """Environments under way."""

    delayed: DelayedReset  # leaves [envs, ...]
    observations: Array  # [envs, ...]
    returns: Array  # float32 [envs], of the episodes so far


class Outcome(NamedTuple):
    """What one step of all environments led to."""

    reward: Array  # float32 [envs]
    terminated: Array  # bool [envs]
    truncated: Array  # bool [envs]
    finished: tuple[Array, Array]  # sum and number of the returns of episodes that ended


def make(name: str) -> Game:
    import gymnax  # it starts JAX's devices, which must wait until processes have joined

    title, dtype = NAMES[name]
    env, params = gymnax.make(title, **OPTIONS.get(name, {}))
    return Game(env, params, dtype, title)


def step_one(game: Game, key: Array, delayed: DelayedReset, action: Array):
    """A step of gymnax with its reset held back: an end is followed by where it led."""
    first, state, reward, terminated, truncated, info = game.env.step(
        key, delayed.state, action, game.params
    )
    ended = terminated | truncated
    moved = (
        DelayedReset(state, first, ended),
        info["final_observation"],
        reward,
        terminated,
        truncated,
    )
    reset = (
        DelayedReset(delayed.state, delayed.first, jnp.bool_(False)),
        delayed.first,
        0.0,
        False,
        False,
    )
    return jax.tree.map(partial(jnp.where, delayed.ended), reset, moved)


def reset(game: Game, key: Array, count: int) -> Envs:
    keys = jax.random.split(key, count)
    observations, state = jax.vmap(game.env.reset, (0, None))(keys, game.params)
    delayed = DelayedReset(state, observations, jnp.zeros(count, bool))
    return Envs(delayed, observations.astype(game.dtype), jnp.zeros(count))


def step(game: Game, key: Array, envs: Envs, actions: Array) -> tuple[Envs, Outcome]:
    """Moves all environments on; after an end comes a row that only shows where it led."""
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
    """Mean return of the episodes that uniformly random actions finish."""

    def step_randomly(envs: Envs, key: Array):
        action_key, step_key = jax.random.split(key)
        actions = jax.random.randint(action_key, (count,), 0, game.env.num_actions)
        envs, outcome = step(game, step_key, envs, actions)
        return envs, outcome.finished

    reset_key, key = jax.random.split(key)
    keys = jax.random.split(key, length)
    _, (total, number) = jax.lax.scan(step_randomly, reset(game, reset_key, count), keys)
    return float(total.sum() / number.sum())
