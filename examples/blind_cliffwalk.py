"""The Blind Cliffwalk of the paper: how many updates does Q-learning take until Q is right?

The memory is filled once with the transitions of every sequence of actions. They are 2^(n+1) - 2,
and one of them has a reward. Each update of Q-learning draws one transition. The example counts the
updates until the mean squared error of Q is below 1e-3, with a table and with the linear features
of the paper, and for four selections of the transition:

    uniform        each transition is equally likely
    greedy         the one whose last |TD error| is the largest; those never drawn come first
    proportional   jaxper's `PrioritizedReplay`, without importance weights, as in the paper
    oracle         the one whose update leaves the smallest error

Source: Schaul et al. 2016, arXiv 1511.05952, section 3.1, figure 2 and appendix B.1.

    python examples/blind_cliffwalk.py                  # 2 to 13 states
    python examples/blind_cliffwalk.py --largest 16     # as in the paper
"""

import argparse
import time
from functools import partial
from typing import Any, NamedTuple

import cliffwalk
import cliffwalk_report
import command_line
import jax
import jax.numpy as jnp
import numpy as np
from greedy import GreedyReplay
from jax import Array
from tqdm import tqdm

import jaxper

# A run is done if its mean squared error is below this.
SMALL_ERROR = 1e-3

# An update reduces the error if at most this fraction of it is left. More is rounding.
IMPROVEMENT = 1 - 1e-6

# A run is given up after this many updates per transition in memory.
PATIENCE = 200

# Updates between two moves of the progress bar.
CHUNK = 20_000
SELECTIONS = ("uniform", "greedy", "proportional", "oracle")


class Run(NamedTuple):
    """All that one run changes with its updates."""

    key: Array
    weights: Array  # float32 [n + 1, 2]
    bias: Array  # float32 [], 0 for a table and 1 for the linear features
    memory: Any  # the state of the replay
    updates: Array  # int32 [], until the run was done
    done: Array  # bool []


def make_replay(selection: str, states: int) -> Any:
    """Returns the replay that holds the memory. The oracle does not draw from it."""
    capacity = 2 ** (states + 1) - 2
    if selection == "proportional":
        return jaxper.PrioritizedReplay(capacity, alpha=0.6)
    return GreedyReplay(capacity) if selection == "greedy" else jaxper.UniformReplay(capacity)


def start(replay: Any, states: int, key: Array, bias: Array) -> Run:
    """Returns a run with a full memory and random weights."""
    key, memory_key, weights_key = jax.random.split(key, 3)
    items = cliffwalk.make_memory(states, memory_key)
    memory = replay.add(replay.init(jax.tree.map(lambda array: array[0], items)), items)
    weights = cliffwalk.init_weights(states, weights_key)
    return Run(key, weights, bias, memory, jnp.int32(0), jnp.bool_(False))


def learn_from_draw(replay: Any, run: Run) -> Run:
    """Draws a transition, learns from it, and makes its |TD error| its priority."""
    key, sample_key = jax.random.split(run.key)
    sample = replay.sample(run.memory, sample_key, 1)
    step = jax.tree.map(lambda array: array[0], sample.items)
    weights, error = cliffwalk.learn(run.weights, run.bias, step)
    memory = replay.update_priorities(run.memory, sample.ids, jnp.abs(error)[None])
    return run._replace(key=key, weights=weights, memory=memory)


def learn_from_oracle(replay: Any, run: Run) -> Run:
    """Tries an update with each transition, and keeps the one that leaves the smallest error.

    With linear features there comes a point at which no single update reduces the error. There it
    would repeat an update that changes nothing, so it takes the largest |TD error| instead.
    """
    steps = cliffwalk.make_transitions(len(run.weights) - 1)
    after, td_errors = jax.vmap(cliffwalk.learn, (None, None, 0))(run.weights, run.bias, steps)
    errors_left = jax.vmap(cliffwalk.mean_squared_error, (0, None))(after, run.bias)
    error = cliffwalk.mean_squared_error(run.weights, run.bias)
    improves = jnp.min(errors_left) < IMPROVEMENT * error
    chosen = jnp.where(improves, jnp.argmin(errors_left), jnp.argmax(jnp.abs(td_errors)))
    return run._replace(weights=after[chosen])


def update_and_count(update: Any, run: Run) -> Run:
    """Updates a run, and counts the update unless the run was done before it."""
    after = update(run)
    error = cliffwalk.mean_squared_error(after.weights, after.bias)
    return after._replace(updates=run.updates + ~run.done, done=run.done | (error < SMALL_ERROR))


@partial(jax.jit, static_argnames="selection", donate_argnames="runs")
def advance(replay: Any, selection: str, runs: Run) -> Run:
    """Updates all runs side by side, until all are done or for `CHUNK` updates.

    The loop is outside of `vmap`. Inside of it, JAX would copy all memories once one run is done.
    """
    update = partial(learn_from_oracle if selection == "oracle" else learn_from_draw, replay)
    update_all = jax.vmap(partial(update_and_count, update))

    def keep_going(carry: tuple[Array, Run]) -> Array:
        return (carry[0] < CHUNK) & ~jnp.all(carry[1].done)

    def body(carry: tuple[Array, Run]) -> tuple[Array, Run]:
        return carry[0] + 1, update_all(carry[1])

    return jax.lax.while_loop(keep_going, body, (jnp.int32(0), runs))[1]


def count_updates(selection: str, states: int, keys: Array, bar: tqdm) -> np.ndarray:
    """Returns the updates that each run took, [2, runs]: with a table and with linear features.

    For a run that was given up this is infinity. A greedy run may be one, since it does not draw a
    transition again whose error was small when it was drawn.
    """
    replay = make_replay(selection, states)
    bias = jnp.repeat(jnp.arange(2.0), len(keys))
    runs = jax.jit(jax.vmap(partial(start, replay, states)))(jnp.tile(keys, 2), bias)
    done = updates = 0
    while done < len(bias) and updates < PATIENCE * replay.capacity:
        runs = advance(replay, selection, runs)
        now_done, updates = int(runs.done.sum()), int(runs.updates.max())
        bar.set_description(f"{states} states, {selection}, {updates:,} updates", refresh=False)
        bar.update(now_done - done)
        done = now_done
    return np.where(runs.done, runs.updates, np.inf).reshape(2, len(keys))


def parse_arguments() -> argparse.Namespace:
    parser = command_line.make_parser(
        "Updates that the Blind Cliffwalk takes, by how transitions are selected.",
        "blind_cliffwalk.png",
    )
    add = parser.add_argument
    add("--smallest", type=int, default=2, help="smallest number of states, at least 2")
    add("--largest", type=int, default=13, help="largest number of states; 16 in the paper")
    add("--runs", type=int, default=10, help="runs of each selection, side by side")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    began = time.perf_counter()
    keys = jax.random.split(jax.random.key(arguments.seed), arguments.runs)
    sizes = range(arguments.smallest, arguments.largest + 1)
    results = {name: [] for name in SELECTIONS}
    total = len(sizes) * len(SELECTIONS) * 2 * arguments.runs
    with tqdm(total=total, unit="run") as bar:
        for states in sizes:
            for name in SELECTIONS:
                results[name].append(count_updates(name, states, keys, bar))
    updates = {name: np.stack(found, axis=1) for name, found in results.items()}
    cliffwalk_report.write_report(list(sizes), updates, arguments.output)
    print(f"{time.perf_counter() - began:.0f} seconds in all")


if __name__ == "__main__":
    main()
