"""The training of the example DQN: many runs side by side, each with its own step size."""

import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import dqn

POINTS = dqn.POINTS


class Setting(NamedTuple):
    """The options of `examples/dqn.py` that a game is learned with, the same for both replays."""

    env: str
    steps: int  # the sum over all environments of one run
    capacity: int = 50_000
    n_step: int = 1
    batch_size: int = 64
    alpha: float = 0.6
    beta: float = 0.4


def set_up(setting: Setting, replay: str) -> dqn.Experiment:
    """Returns the experiment of the example, with the step size in the state of the optimizer.

    So the runs under `vmap` can have different step sizes.
    """
    optimizer: Any = optax.inject_hyperparams(optax.adam)(learning_rate=0.0)
    arguments: Any = setting
    return dqn.set_up(arguments, replay)._replace(optimizer=optimizer)


def start(experiment: dqn.Experiment, key: Array, rate: Array) -> dqn.Run:
    """Returns a run at its beginning, which will learn with this step size."""
    run = dqn.start(experiment, key)
    optimizer: Any = run.learner.optimizer
    optimizer = optimizer._replace(hyperparams=optimizer.hyperparams | {"learning_rate": rate})
    return run._replace(learner=run.learner._replace(optimizer=optimizer))


def make_program(setting: Setting, replay: str) -> tuple[Any, Any]:
    """Returns two compiled functions.

    The first one takes keys and step sizes, [runs] each, and returns the runs. The second one takes
    the runs, and returns them one point further, and their mean returns [runs].
    """
    experiment = set_up(setting, replay)
    length = dqn.env_steps_per_point(setting.steps)
    return (
        jax.jit(jax.vmap(partial(start, experiment))),
        jax.jit(partial(dqn.advance, experiment, length), donate_argnums=0),
    )


def steps_per_point(setting: Setting, runs: int) -> int:
    """The steps of all environments of all runs between two points of the curve."""
    return dqn.env_steps_per_point(setting.steps) * dqn.NUM_ENVS * runs


def pair_keys_with_rates(key: Array, rates: Any, seeds: int) -> tuple[Array, Array]:
    """Returns the same `seeds` keys for each of the rates, and the rates, [rates * seeds] each."""
    keys = jax.random.split(key, seeds)
    return jnp.tile(keys, len(rates)), jnp.repeat(jnp.asarray(rates, jnp.float32), seeds)
