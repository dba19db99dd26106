"""Double DQN with prioritized replay, as one compiled program.

A training step acts, adds, samples, learns and updates the priorities. `lax.scan` repeats it, and
`vmap` runs all seeds side by side. Python only moves the progress bar.

    python examples/dqn.py                                # both replays on MinAtar Breakout
    python examples/dqn.py --env cartpole --replay prioritized
    python examples/dqn.py --checkpoint DIR               # stop with Ctrl-C, go on with --resume
"""

import argparse
import time
from functools import partial
from typing import Any, NamedTuple

import agent
import command_line
import curves
import environments
import jax
import jax.numpy as jnp
import numpy as np
import optax
import saving
from jax import Array
from tqdm import tqdm

import jaxper

# Environments of each seed. One step of all of them is followed by one update.
NUM_ENVS = 16

DISCOUNT = 0.99
LEARNING_RATE = 5e-4

# Points of each learning curve.
POINTS = 50


class Experiment(NamedTuple):
    """The parts of an experiment that do not change while it runs."""

    game: environments.Game
    network: agent.Network
    optimizer: optax.GradientTransformation
    replay: Any
    batch_size: int
    beta: optax.Schedule  # a function of the number of updates
    epsilon: optax.Schedule  # a function of the number of updates
    axis_name: str | None = None  # the axis of the shards, if there are several


class Run(NamedTuple):
    """All that a training step of one seed changes."""

    key: Array
    learner: agent.Learner
    replay_state: Any
    envs: environments.Envs


class Metrics(NamedTuple):
    """The metrics of a training step."""

    returns: Array  # float32 [], sum over the episodes that ended
    episodes: Array  # int32 [], number of episodes that ended
    loss: Array  # float32 []


def set_up(arguments: argparse.Namespace, replay: str) -> Experiment:
    """Returns the experiment with the replay of this name."""
    game = environments.make(arguments.env)
    updates = arguments.steps // NUM_ENVS
    return Experiment(
        game=game,
        network=agent.Network(game.env.num_actions),
        optimizer=optax.adam(LEARNING_RATE),
        replay=make_replay(replay, arguments),
        batch_size=arguments.batch_size,
        beta=optax.linear_schedule(arguments.beta, 1.0, updates),
        epsilon=optax.linear_schedule(1.0, 0.02, updates // 5),
    )


def make_replay(name: str, arguments: argparse.Namespace) -> Any:
    """Returns the replay of this name, with a view of n-step transitions."""
    view = jaxper.Transitions(NUM_ENVS, arguments.n_step, DISCOUNT, autoreset="next_step")
    if name == "uniform":
        return jaxper.UniformReplay(arguments.capacity, view=view)
    return jaxper.PrioritizedReplay(arguments.capacity, alpha=arguments.alpha, view=view)


def start(experiment: Experiment, key: Array) -> Run:
    """Returns a run with fresh environments, fresh parameters and an empty replay."""
    key, reset_key, learner_key = jax.random.split(key, 3)
    envs = environments.reset(experiment.game, reset_key, NUM_ENVS)
    observation = envs.observations[0]
    learner = agent.init(experiment.network, experiment.optimizer, learner_key, observation)
    return Run(key, learner, experiment.replay.init(make_example_step(experiment)), envs)


def make_example_step(experiment: Experiment) -> jaxper.TimeStep:
    """Returns the shapes of a step of one environment, for the `init` of the replay."""
    envs = jax.eval_shape(lambda: environments.reset(experiment.game, jax.random.key(0), 1))
    observation = jax.ShapeDtypeStruct(envs.observations.shape[1:], envs.observations.dtype)
    false = jnp.bool_(False)
    return jaxper.TimeStep(observation, jnp.int32(0), jnp.float32(0), false, false)


def train_step(experiment: Experiment, run: Run, _) -> tuple[Run, Metrics]:
    """Steps all environments once and updates once: acts, adds, samples, learns, re-prioritizes."""
    axis_name = experiment.axis_name
    network, replay, updates = experiment.network, experiment.replay, run.learner.updates
    key, act_key, step_key, sample_key = jax.random.split(run.key, 4)
    observations, epsilon = run.envs.observations, experiment.epsilon(updates)
    actions = agent.act(network, run.learner.params, act_key, observations, epsilon)
    envs, outcome = environments.step(experiment.game, step_key, run.envs, actions)
    steps = jaxper.TimeStep(
        observations, actions, outcome.reward, outcome.terminated, outcome.truncated
    )

    replay_state = replay.add(run.replay_state, jax.tree.map(lambda array: array[None], steps))
    sample = replay.sample(
        replay_state,
        sample_key,
        experiment.batch_size,
        beta=experiment.beta(updates),
        axis_name=axis_name,
    )
    learner, loss, errors = agent.learn(
        network, experiment.optimizer, run.learner, sample.items, sample.weights, axis_name
    )
    replay_state = replay.update_priorities(replay_state, sample.ids, jnp.abs(errors))
    return Run(key, learner, replay_state, envs), Metrics(*outcome.finished, loss)


def advance(experiment: Experiment, length: int, runs: Run) -> tuple[Run, Array]:
    """Advances runs side by side by `length` training steps.

    Returns:
      The runs, and the mean return of the episodes that ended, float32 [runs].
    """
    steps = jax.vmap(partial(train_step, experiment))
    runs, metrics = jax.lax.scan(steps, runs, None, length)
    return runs, metrics.returns.sum(0) / metrics.episodes.sum(0)


def env_steps_per_point(steps: int) -> int:
    """The steps of each environment between two points of a learning curve."""
    return max(1, steps // NUM_ENVS // POINTS)


def train(experiment: Experiment, arguments: argparse.Namespace, name: str) -> np.ndarray:
    """Trains all seeds, and returns their learning curves, [POINTS, seeds].

    A point is the mean return of the episodes that ended since the last point.
    """
    length = env_steps_per_point(arguments.steps)
    steps = length * NUM_ENVS * arguments.seeds
    keys = jax.random.split(jax.random.key(arguments.seed), arguments.seeds)
    runs = jax.jit(jax.vmap(partial(start, experiment)))(keys)

    curve, done = np.full((POINTS, arguments.seeds), np.nan, np.float32), 0
    saver = None
    if arguments.checkpoint:
        saver = saving.Saver(arguments, name, experiment.replay, make_example_step(experiment))
        runs, (curve, done) = saver.restore(runs, (curve, done))
        curve, done = np.array(curve), int(done)

    print(f"{name}: compiling", end="\r", flush=True)
    program = jax.jit(partial(advance, experiment, length), donate_argnums=0)
    program = program.lower(runs).compile()
    with tqdm(total=steps * POINTS, initial=steps * done, unit="step", unit_scale=True) as bar:
        for point in range(done, POINTS):
            runs, curve[point] = program(runs)
            bar.set_description(f"{name}, return {np.nanmean(curve[point]):.2f}", refresh=False)
            bar.update(steps)
            if saver:
                saver.save(point + 1, point + 1 == POINTS, runs, (curve, point + 1))
    return curve


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser with all options but those for saving."""
    parser = command_line.make_parser(
        "Double DQN on gymnax with jaxper's replay.", "learning_curves.png"
    )
    add = parser.add_argument
    add("--env", choices=environments.NAMES, default="breakout", help="the environment")
    add(
        "--replay",
        choices=["prioritized", "uniform", "both"],
        default="both",
        help="how batches are drawn",
    )
    add("--seeds", type=int, default=4, help="independent runs, side by side")
    add("--steps", type=int, default=500_000, help="environment steps of each run")
    add("--capacity", type=int, default=50_000, help="steps that the replay of each run keeps")
    add("--n-step", type=int, default=3, help="steps whose rewards are added up")
    add("--batch-size", type=int, default=64, help="transitions per update")
    add("--alpha", type=float, default=0.6, help="how strongly priorities count, 0 to 1")
    add(
        "--beta",
        type=float,
        default=0.4,
        help="how strongly weights correct, 0 to 1; it ends at 1",
    )
    return parser


def main() -> None:
    arguments = saving.parse_arguments(make_parser())
    names = ["uniform", "prioritized"] if arguments.replay == "both" else [arguments.replay]
    began = time.perf_counter()
    experiments = {name: set_up(arguments, name) for name in names}
    results = {name: train(experiment, arguments, name) for name, experiment in experiments.items()}
    game = experiments[names[0]].game
    random = environments.measure_random_return(game, jax.random.key(arguments.seed))
    curves.print_table(results, random)
    title = f"Double DQN on {game.title}, {arguments.seeds} seeds"
    curves.plot(results, arguments.steps, random, title, arguments.output)
    print(f"{arguments.output} written, {time.perf_counter() - began:.0f} seconds in all")


if __name__ == "__main__":
    main()
