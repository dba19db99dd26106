"""R2D2 (Kapturowski et al. 2019): a recurrent agent that learns from replayed sequences.

The first observation of an episode shows a bit. The last action has to name it, and is the only one
with a reward. Sequences are shorter than episodes, so only the recurrent state that was stored with
each step links the two. Memoryless agents run beside the recurrent ones. They differ in one thing:
their state is cleared before every step. Two parts of R2D2 are left out, since this task does not
need them: n-step returns and the rescaling of values.

    python examples/r2d2.py                       # a bit to remember for 30 steps
    python examples/r2d2.py --memory-length 20 --seeds 8
"""

import argparse
import time
from functools import partial
from typing import Any, NamedTuple

import agent
import command_line
import curves
import environments
import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import recurrent
from jax import Array
from tqdm import tqdm

import jaxper

# Whether each agent remembers.
AGENTS = {"recurrent": True, "memoryless": False}

# Environments of each run.
NUM_ENVS = 16

# Steps between two starts of sequences, and steps of each environment between two updates.
PERIOD = 4

# Steps of a sequence. The last one is only used for its observation.
LENGTH = recurrent.BURN_IN + 8 + 1

# Points of each learning curve.
POINTS = 50


class Experiment(NamedTuple):
    """The parts of an experiment that do not change while it runs."""

    game: environments.Game
    network: recurrent.Network
    optimizer: optax.GradientTransformation
    replay: jaxper.PrioritizedReplay
    batch_size: int
    epsilon: optax.Schedule  # a function of the number of updates


class Run(NamedTuple):
    """All that a training step of one agent and seed changes."""

    key: Array
    remembers: Array  # bool []
    learner: agent.Learner
    replay_state: Any
    envs: environments.Envs
    recurrent_states: Array  # float32 [envs, width]
    first: Array  # bool [envs], whether the observation begins an episode


def set_up(arguments: argparse.Namespace) -> Experiment:
    """Returns the experiment of these options."""
    env, params = gymnax.make("MemoryChain-bsuite")
    params = params.replace(memory_length=arguments.memory_length)
    rate = optax.linear_schedule(arguments.learning_rate, 0.0, arguments.updates)
    view = jaxper.Sequences(NUM_ENVS, LENGTH, PERIOD, boundaries="stop", autoreset="next_step")
    return Experiment(
        game=environments.Game(env, params, jnp.float32, env.name),
        network=recurrent.Network(env.num_actions),
        optimizer=optax.adam(rate),
        replay=jaxper.PrioritizedReplay(arguments.capacity, alpha=0.9, view=view),
        batch_size=arguments.batch_size,
        epsilon=optax.linear_schedule(1.0, 0.0, arguments.updates // 2),
    )


def start(experiment: Experiment, remembers: Array, key: Array) -> Run:
    """Returns a run with fresh environments, fresh parameters and an empty replay."""
    key, reset_key, learner_key = jax.random.split(key, 3)
    envs = environments.reset(experiment.game, reset_key, NUM_ENVS)
    observation, false = envs.observations[0], jnp.bool_(False)
    learner = agent.init(experiment.network, experiment.optimizer, learner_key, observation)
    recurrent_states = jnp.zeros((NUM_ENVS, experiment.network.width))
    step = jaxper.TimeStep(
        observation, jnp.int32(0), jnp.float32(0), false, false, extras=recurrent_states[0]
    )
    replay_state = experiment.replay.init(step)
    return Run(
        key, remembers, learner, replay_state, envs, recurrent_states, jnp.ones(NUM_ENVS, bool)
    )


def play(experiment: Experiment, run: Run, key: Array) -> tuple[Run, tuple]:
    """Steps all environments once.

    Returns:
      The run, the step to store, and the sum and number of the returns of episodes that ended.
    """
    act_key, step_key = jax.random.split(key)
    observations, epsilon = run.envs.observations, experiment.epsilon(run.learner.updates)
    apply = partial(recurrent.apply_network, experiment.network, run.remembers, run.learner.params)
    recurrent_states, q = jax.vmap(apply)(run.recurrent_states, (observations, run.first))
    actions = agent.explore(act_key, q, epsilon)
    envs, outcome = environments.step(experiment.game, step_key, run.envs, actions)
    ends = (outcome.terminated, outcome.truncated)
    step = jaxper.TimeStep(
        observations, actions, outcome.reward, *ends, extras=run.recurrent_states
    )
    # If this step was an ignored row, the next observation begins an episode.
    run = run._replace(envs=envs, recurrent_states=recurrent_states, first=run.envs.delayed.ended)
    return run, (step, outcome.finished)


def learn(experiment: Experiment, run: Run, sample: jaxper.Sample) -> tuple[agent.Learner, Array]:
    """Updates the learner with the weighted Huber loss, and returns the priorities of the batch."""
    learner = run.learner
    apply = partial(recurrent.apply_network, experiment.network, run.remembers)

    def loss(params: Any) -> tuple[Array, Array]:
        one = partial(recurrent.td_errors, apply, params, learner.target_params)
        errors, mask = jax.vmap(one)(sample.items)
        huber: Any = optax.huber_loss(errors)
        losses = jnp.sum(jnp.where(mask, huber, 0.0), axis=1)
        priorities = jaxper.sequence_priority(errors, mask, eta=0.9)
        return jnp.mean(sample.weights * losses), priorities

    gradients, priorities = jax.grad(loss, has_aux=True)(learner.params)
    return agent.apply_gradients(experiment.optimizer, learner, gradients), priorities


def train_step(experiment: Experiment, run: Run, _) -> tuple[Run, tuple[Array, Array]]:
    """Steps all environments `PERIOD` times and updates once.

    Returns:
      The run, and the sum and number of the returns of episodes that ended.
    """
    replay, batch_size = experiment.replay, experiment.batch_size
    key, play_key, sample_key = jax.random.split(run.key, 3)
    keys = jax.random.split(play_key, PERIOD)
    run, (steps, finished) = jax.lax.scan(partial(play, experiment), run, keys)

    replay_state = replay.add(run.replay_state, steps)
    sample = replay.sample(replay_state, sample_key, batch_size, beta=0.6)
    learner, priorities = learn(experiment, run, sample)
    replay_state = replay.update_priorities(replay_state, sample.ids, priorities)
    return run._replace(key=key, learner=learner, replay_state=replay_state), jax.tree.map(
        jnp.sum, finished
    )


def train(experiment: Experiment, arguments: argparse.Namespace) -> np.ndarray:
    """Trains all agents and seeds, and returns their learning curves, [POINTS, agents, seeds].

    A point is the mean return of the episodes that ended since the last point.
    """
    length = max(1, arguments.updates // POINTS)
    keys = jax.random.split(jax.random.key(arguments.seed), arguments.seeds)
    each_seed = jax.vmap(partial(start, experiment), (None, 0))
    runs = jax.jit(jax.vmap(each_seed, (0, None)))(jnp.array(list(AGENTS.values())), keys)

    def advance(runs: Run) -> tuple[Run, Array]:
        one_step = jax.vmap(jax.vmap(partial(train_step, experiment), (0, None)), (0, None))
        runs, (total, count) = jax.lax.scan(one_step, runs, None, length)
        return runs, total.sum(0) / count.sum(0)

    print("compiling", end="\r", flush=True)
    advance = jax.jit(advance, donate_argnums=0).lower(runs).compile()
    curve = []
    with tqdm(total=length * POINTS, unit="update") as bar:
        for _ in range(POINTS):
            runs, returns = advance(runs)
            curve.append(np.asarray(returns))
            means = " and ".join(f"{mean:.2f}" for mean in np.mean(curve[-1], axis=1))
            bar.set_description(f"return {means}", refresh=False)
            bar.update(length)
    return np.stack(curve)


def print_table(results: np.ndarray, random: float) -> None:
    """Prints one line per agent: the mean return over seeds, and the worst and the best seed."""
    print(f"\n{'agent':<14} {'mean return':>11} {'worst and best seed':>20}")
    for name, curve in zip(AGENTS, results.swapaxes(0, 1), strict=True):
        returns = curves.final_returns(curve)
        between = f"{returns.min():.2f} to {returns.max():.2f}"
        print(f"{name:<14} {returns.mean():>11.2f} {between:>20}")
    print(f"{'random play':<14} {random:>11.2f}\n{'best possible':<14} {1:>11.2f}")


def parse_arguments() -> argparse.Namespace:
    parser = command_line.make_parser(
        "R2D2 on a memory task of gymnax with jaxper's replay of sequences."
    )
    add = parser.add_argument
    add("--memory-length", type=int, default=30, help="steps to remember the bit for")
    add("--seeds", type=int, default=4, help="independent runs of each agent, side by side")
    add("--updates", type=int, default=2000, help="updates of each run")
    add("--capacity", type=int, default=16_000, help="steps the replay of each run keeps")
    add("--batch-size", type=int, default=32, help="sequences per update")
    add(
        "--learning-rate",
        type=float,
        default=1e-3,
        help="of Adam at first; it ends at 0",
    )
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    began = time.perf_counter()
    experiment = set_up(arguments)
    results = train(experiment, arguments)
    random = environments.measure_random_return(experiment.game, jax.random.key(arguments.seed))
    print_table(results, random)
    print(f"{time.perf_counter() - began:.0f} seconds in all")


if __name__ == "__main__":
    main()
