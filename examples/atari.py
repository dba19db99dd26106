"""A DQN on Atari: frames from the host, and a prioritized stream and a learner on the device.

Each frame is stored once. Stacks of four frames, n-step returns and next observations are built
when they are drawn. The picture shows draws with the number of each frame in its episode.

    python examples/atari.py                              # Breakout, about a minute in all
    python examples/atari.py --game pong --seconds 600
"""

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import agent
import command_line
import flax.linen as nn
import frames_picture
import jax
import jax.numpy as jnp
import numpy as np
import optax
from atari_games import Games
from jax import Array
from stopwatch import Stopwatch
from tqdm import tqdm

import jaxper

FRAME_STACK = 4
N_STEP = 3
DISCOUNT = 0.99
BATCH_SIZE = 32
ROWS_BEFORE_LEARNING = 200
EPSILON = 0.1


class Convolutions(nn.Module):
    """A network from one stack of frames to the Q-values of all actions."""

    actions: int

    @nn.compact
    def __call__(self, observation: dict[str, Array]) -> Array:
        hidden = observation["pixels"].astype(jnp.float32) / 255
        hidden = nn.relu(nn.Conv(16, (8, 8), 4, "VALID")(hidden))
        hidden = nn.relu(nn.Conv(32, (4, 4), 2, "VALID")(hidden))
        hidden = nn.relu(nn.Dense(128)(hidden.reshape(-1)))
        return nn.Dense(self.actions)(hidden)


class Functions(NamedTuple):
    """The compiled functions, which run on the device."""

    act: Callable
    add: Callable
    sample: Callable
    learn: Callable
    update_priorities: Callable


class Run(NamedTuple):
    """All that changes from step to step."""

    key: Array
    learner: agent.Learner
    stack: Any  # arrays [envs, ..., FRAME_STACK], the observation of each game
    replay_state: Any


def compile_functions(
    network: nn.Module, optimizer: optax.GradientTransformation, replay: Any
) -> Functions:
    """Returns the compiled functions. Those that change a state take over its memory."""

    def act(stack, params, observation, first, key):
        stack = jaxper.stack_frames(stack, observation, first, stack_axis=-1)
        return stack, agent.act(network, params, key, stack, EPSILON)

    def learn(learner, steps, weights):
        return agent.learn(network, optimizer, learner, steps, weights)

    return Functions(
        act=jax.jit(act, donate_argnums=0),
        add=jax.jit(replay.add, donate_argnums=0),
        sample=jax.jit(lambda state, key: replay.sample(state, key, BATCH_SIZE)),
        learn=jax.jit(learn, donate_argnums=0),
        update_priorities=jax.jit(replay.update_priorities, donate_argnums=0),
    )


def play(functions: Functions, run: Run, games: Games, watch: Stopwatch) -> Run:
    """Plays one step of every game, and stores it."""
    key, act_key = jax.random.split(run.key)
    with watch("acting"):
        stack, actions = functions.act(
            run.stack, run.learner.params, games.observation, games.first, act_key
        )
        actions = np.asarray(actions)
    with watch("games"):
        step = games.step(actions)
    with watch("replay"):
        replay_state = jax.block_until_ready(functions.add(run.replay_state, step))
    return Run(key, run.learner, stack, replay_state)


def learn(functions: Functions, run: Run, watch: Stopwatch) -> Run:
    """Draws a batch, learns from it, and updates its priorities."""
    key, sample_key = jax.random.split(run.key)
    with watch("replay"):
        sample = jax.block_until_ready(functions.sample(run.replay_state, sample_key))
    with watch("learning"):
        learned = functions.learn(run.learner, sample.items, sample.weights)
        learner, _, errors = jax.block_until_ready(learned)
    with watch("replay"):
        replay_state = functions.update_priorities(run.replay_state, sample.ids, jnp.abs(errors))
        jax.block_until_ready(replay_state)
    return Run(key, learner, run.stack, replay_state)


def train(arguments: argparse.Namespace, replay: Any, games: Games) -> tuple[Run, Stopwatch]:
    """Plays and learns until the time is up. The stopwatch starts after everything is compiled."""
    network, optimizer = Convolutions(games.actions), optax.adam(1e-4)
    functions, watch = compile_functions(network, optimizer, replay), Stopwatch()
    key, stack = jax.random.key(arguments.seed), games.make_empty_stack(FRAME_STACK)
    learner = agent.init(network, optimizer, key, jax.tree.map(lambda array: array[0], stack))
    run = Run(key, learner, stack, replay.init(games.make_example_step()))
    for _ in range(ROWS_BEFORE_LEARNING):
        run = play(functions, run, games, watch)
    run = learn(functions, run, watch)

    watch, end = Stopwatch(), time.perf_counter() + arguments.seconds
    with tqdm(unit="frame", unit_scale=True) as bar:
        while time.perf_counter() < end:
            run = learn(functions, play(functions, run, games, watch), watch)
            bar.update(arguments.envs)
            watch.frames += arguments.envs
    return run, watch


def count_usual_bytes(replay: Any, games: Games) -> float:
    """Returns the bytes of a transition that is stored with both of its stacks."""
    stack = jax.tree.map(lambda array: array[0], games.make_empty_stack(FRAME_STACK))
    zero = jnp.float32(0)
    item = jaxper.Transition(stack, jnp.int32(0), zero, zero, stack, ())
    return jaxper.PrioritizedReplay(replay.capacity).nbytes(item) / replay.capacity


def parse_arguments() -> argparse.Namespace:
    parser = command_line.make_parser("Atari into a prioritized stream.", "atari_draws.png")
    add = parser.add_argument
    add("--game", default="breakout", help="an Atari game, as ale-py names it")
    add("--envs", type=int, default=8, help="games side by side")
    add("--seconds", type=float, default=45, help="how long to play and learn")
    add("--capacity", type=int, default=50_000, help="frames that the replay keeps")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    games = Games(arguments.game, arguments.envs, arguments.seed)
    view = jaxper.Transitions(
        arguments.envs, N_STEP, DISCOUNT, FRAME_STACK, stack_axis=-1, autoreset="next_step"
    )
    replay = jaxper.PrioritizedReplay(arguments.capacity, alpha=0.5, view=view)
    run, watch = train(arguments, replay, games)
    print(watch.report())
    here = replay.nbytes(games.make_example_step()) / replay.capacity
    usual = count_usual_bytes(replay, games)
    print(f"bytes per transition: {here:.0f} here, {usual:.0f} as usually stored")
    sample = replay.sample(run.replay_state, jax.random.key(arguments.seed), 2048)
    frames_picture.plot_transitions(jax.tree.map(np.asarray, sample.items), arguments.output)
    print(f"{arguments.output} written")


if __name__ == "__main__":
    main()
