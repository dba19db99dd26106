"""Double DQN with prioritized replay: a whole experiment as one compiled program.

Acting, adding, sampling, learning and re-prioritising are one function, which `lax.scan` repeats
and `vmap` runs for all seeds side by side; Python only moves the progress bar.

    python examples/dqn.py                                # both replays on MinAtar Breakout
    python examples/dqn.py --env cartpole --replay prioritized
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import agent
import curves
import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from tqdm import tqdm

import jaxper

ENVIRONMENTS = {  # name: gymnax's name, a dtype that holds its observations without loss
    "breakout": ("Breakout-MinAtar", jnp.bool_),
    "cartpole": ("CartPole-v1", jnp.float32),
    "catch": ("Catch-bsuite", jnp.bool_),
}
NUM_ENVS = 16  # environments of each seed; one update for each step of all of them
DISCOUNT = 0.99
LEARNING_RATE = 5e-4
POINTS = 50  # of each learning curve


class Experiment(NamedTuple):
    """What does not change while it runs."""

    env: Any
    env_params: Any
    dtype: Any  # of stored observations
    network: agent.Network
    optimizer: optax.GradientTransformation
    replay: Any
    batch_size: int
    beta: optax.Schedule  # of the number of updates
    epsilon: optax.Schedule  # likewise


class Run(NamedTuple):
    """What one seed carries from step to step."""

    key: Array
    learner: agent.Learner
    replay: Any
    env: Any
    observations: Array  # [NUM_ENVS, ...]
    returns: Array  # float32 [NUM_ENVS], of the episodes under way


def set_up(arguments: argparse.Namespace, replay: str) -> Experiment:
    name, dtype = ENVIRONMENTS[arguments.env]
    env, env_params = gymnax.make(name)
    updates = arguments.steps // NUM_ENVS
    return Experiment(
        env=env,
        env_params=env_params,
        dtype=dtype,
        network=agent.Network(env.num_actions),
        optimizer=optax.adam(LEARNING_RATE),
        replay=make_replay(replay, arguments),
        batch_size=arguments.batch_size,
        beta=optax.linear_schedule(arguments.beta, 1.0, updates),
        epsilon=optax.linear_schedule(1.0, 0.02, updates // 5),
    )


def make_replay(name: str, arguments: argparse.Namespace) -> Any:
    if name == "uniform":
        return jaxper.UniformReplay(arguments.capacity)
    return jaxper.PrioritizedReplay(arguments.capacity, alpha=arguments.alpha)


def start(experiment: Experiment, key: Array) -> Run:
    key, env_key, learner_key = jax.random.split(key, 3)
    env_keys = jax.random.split(env_key, NUM_ENVS)
    reset = jax.vmap(experiment.env.reset, (0, None))
    observations, env = reset(env_keys, experiment.env_params)
    observations = observations.astype(experiment.dtype)
    one = observations[0]
    learner = agent.init(experiment.network, experiment.optimizer, learner_key, one)
    step = agent.Transition(one, jnp.int32(0), jnp.float32(0), jnp.float32(0), one)
    return Run(key, learner, experiment.replay.init(step), env, observations, jnp.zeros(NUM_ENVS))


def act(experiment: Experiment, run: Run, key: Array, epsilon: Array):
    """All environments move on by one step: the run, their transitions, finished returns."""
    act_key, env_key = jax.random.split(key)
    actions = agent.act(experiment.network, run.learner.params, act_key, run.observations, epsilon)
    observations, env, rewards, terminated, truncated, info = jax.vmap(
        experiment.env.step, (0, 0, 0, None)
    )(jax.random.split(env_key, NUM_ENVS), run.env, actions, experiment.env_params)
    steps = agent.Transition(
        run.observations,
        actions,
        rewards,
        DISCOUNT * (1.0 - terminated),
        info["final_observation"].astype(experiment.dtype),  # also where a time limit cut it off
    )
    ended = terminated | truncated
    returns = run.returns + rewards
    finished = (jnp.sum(returns * ended), jnp.sum(ended))
    run = run._replace(
        env=env,
        observations=observations.astype(experiment.dtype),
        returns=jnp.where(ended, 0.0, returns),
    )
    return run, steps, finished


def train_step(experiment: Experiment, run: Run, _) -> tuple[Run, tuple[Array, Array]]:
    """One step of every environment and one update: act, add, sample, learn, re-prioritise."""
    replay, updates = experiment.replay, run.learner.updates
    key, act_key, sample_key = jax.random.split(run.key, 3)
    run, steps, finished = act(experiment, run, act_key, experiment.epsilon(updates))
    stored = replay.add(run.replay, steps)
    sample = replay.sample(stored, sample_key, experiment.batch_size, beta=experiment.beta(updates))
    learner, errors = agent.learn(
        experiment.network, experiment.optimizer, run.learner, sample.items, sample.weights
    )
    stored = replay.update_priorities(stored, sample.ids, jnp.abs(errors))
    return run._replace(key=key, learner=learner, replay=stored), finished


def train(experiment: Experiment, arguments: argparse.Namespace, name: str) -> np.ndarray:
    """Learning curves [POINTS, seeds]: mean return of the episodes that ended in each part."""
    length = max(1, arguments.steps // NUM_ENVS // POINTS)
    steps = length * NUM_ENVS * arguments.seeds
    keys = jax.random.split(jax.random.key(arguments.seed), arguments.seeds)
    runs = jax.jit(jax.vmap(partial(start, experiment)))(keys)

    def advance(runs: Run) -> tuple[Run, Array]:
        one_step = jax.vmap(partial(train_step, experiment))
        runs, (total, count) = jax.lax.scan(one_step, runs, None, length)
        return runs, total.sum(0) / count.sum(0)

    print(f"{name}: compiling", end="\r", flush=True)
    advance = jax.jit(advance, donate_argnums=0).lower(runs).compile()
    curve = []
    with tqdm(total=steps * POINTS, unit="step", unit_scale=True) as bar:
        for _ in range(POINTS):
            runs, returns = advance(runs)
            curve.append(np.asarray(returns))
            bar.set_description(f"{name}, return {np.nanmean(curve[-1]):.2f}", refresh=False)
            bar.update(steps)
    return np.stack(curve)


def random_return(experiment: Experiment, key: Array, length: int = 1000) -> float:
    """Mean return of the episodes that uniformly random actions finish."""

    def one_step(run: Run, key: Array):
        run, _, finished = act(experiment, run, key, jnp.float32(1))
        return run, finished

    start_key, key = jax.random.split(key)
    run = start(experiment, start_key)
    _, (total, count) = jax.lax.scan(one_step, run, jax.random.split(key, length))
    return float(total.sum() / count.sum())


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--env", choices=ENVIRONMENTS, default="breakout", help="the environment")
    add(
        "--replay",
        choices=["prioritized", "uniform", "both"],
        default="both",
        help="how batches are drawn",
    )
    add("--seeds", type=int, default=4, help="independent runs, side by side")
    add("--seed", type=int, default=0, help="random seed that the runs start from")
    add("--steps", type=int, default=500_000, help="environment steps of each run")
    add("--capacity", type=int, default=50_000, help="transitions the replay of each run keeps")
    add("--batch-size", type=int, default=64, help="transitions per update")
    add("--alpha", type=float, default=0.6, help="how strongly priorities count, 0 to 1")
    add("--beta", type=float, default=0.4, help="correction for them at first; it ends at 1")
    add("--output", type=Path, default=Path("learning_curves.png"), help="picture to write")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    names = ["uniform", "prioritized"] if arguments.replay == "both" else [arguments.replay]
    began = time.perf_counter()
    experiments = {name: set_up(arguments, name) for name in names}
    results = {name: train(experiment, arguments, name) for name, experiment in experiments.items()}
    random = random_return(experiments[names[0]], jax.random.key(arguments.seed))
    curves.print_table(results, random)
    title = f"Double DQN on {ENVIRONMENTS[arguments.env][0]}, {arguments.seeds} seeds"
    curves.plot(results, arguments.steps, random, title, arguments.output)
    print(f"{arguments.output} written, {time.perf_counter() - began:.0f} seconds in all")


if __name__ == "__main__":
    main()
