"""The Blind Cliffwalk of the paper on prioritized replay: how many updates until Q is right?

The memory is filled once with all that every sequence of actions leads to: 2^(n+1) - 2 transitions,
of which one carries reward. Each update of Q-learning draws one of them. Counted are the updates
until the mean squared error of Q is below 1e-3, with a table and with the paper's linear features:

    uniform        each transition is equally likely
    greedy         the largest |TD error| as last seen; what was never drawn comes first
    proportional   jaxper's `PrioritizedReplay`, without importance weights, as in the paper
    oracle         the transition whose update leaves the smallest error

Source: Schaul et al. 2016, arXiv 1511.05952, section 3.1, figure 2 and appendix B.1.

    python examples/blind_cliffwalk.py                  # 2 to 13 states
    python examples/blind_cliffwalk.py --largest 16     # as in the paper
"""

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import cliffwalk
import cliffwalk_report
import jax
import jax.numpy as jnp
import numpy as np
from greedy import GreedyReplay
from jax import Array
from tqdm import tqdm

import jaxper

SMALL_ERROR = 1e-3  # the mean squared error at which a run is done
IMPROVEMENT = 1 - 1e-6  # of the error may be left where an update lessens it: more is rounding
PATIENCE = 200  # updates for each transition in memory, after which a run is given up
CHUNK = 20_000  # updates between two moves of the progress bar
SELECTIONS = ("uniform", "greedy", "proportional", "oracle")


class Run(NamedTuple):
    """What one search carries from update to update."""

    key: Array
    weights: Array  # float32 [n + 1, 2]
    bias: Array  # float32 [], 0 is a table, 1 the linear features
    memory: Any  # the replay's state
    updates: Array  # int32 [], until it was done
    done: Array  # bool []


def make_replay(selection: str, states: int) -> Any:
    """What the memory is kept in; the oracle does not draw from it."""
    capacity = 2 ** (states + 1) - 2
    if selection == "proportional":
        return jaxper.PrioritizedReplay(capacity, alpha=0.6)
    return GreedyReplay(capacity) if selection == "greedy" else jaxper.UniformReplay(capacity)


def start(replay: Any, states: int, key: Array, bias: Array) -> Run:
    key, memory_key, weights_key = jax.random.split(key, 3)
    items = cliffwalk.make_memory(states, memory_key)
    memory = replay.add(replay.init(jax.tree.map(lambda leaf: leaf[0], items)), items)
    weights = cliffwalk.init_weights(states, weights_key)
    return Run(key, weights, bias, memory, jnp.int32(0), jnp.bool_(False))


def learn_from_draw(replay: Any, run: Run) -> Run:
    """Draws a transition, learns from it and gives it the |TD error| seen as its priority."""
    key, sample_key = jax.random.split(run.key)
    sample = replay.sample(run.memory, sample_key, 1)
    step = jax.tree.map(lambda leaf: leaf[0], sample.items)
    weights, error = cliffwalk.learn(run.weights, run.bias, step)
    memory = replay.update_priorities(run.memory, sample.ids, jnp.abs(error)[None])
    return run._replace(key=key, weights=weights, memory=memory)


def learn_from_oracle(replay: Any, run: Run) -> Run:
    """Learns from each of the transitions there are, and keeps what leaves the smallest error.

    With linear features it comes to where no single update lessens the error, and would then repeat
    one that changes nothing. There it takes the transition of the largest |TD error|.
    """
    steps = cliffwalk.make_transitions(len(run.weights) - 1)
    after, errors = jax.vmap(cliffwalk.learn, (None, None, 0))(run.weights, run.bias, steps)
    left = jax.vmap(cliffwalk.mean_squared_error, (0, None))(after, run.bias)
    gains = jnp.min(left) < IMPROVEMENT * cliffwalk.mean_squared_error(run.weights, run.bias)
    chosen = jnp.where(gains, jnp.argmin(left), jnp.argmax(jnp.abs(errors)))
    return run._replace(weights=after[chosen])


def update_and_count(update: Any, run: Run) -> Run:
    """One update, counted while the error is not small. A run that is done goes on uncounted."""
    after = update(run)
    error = cliffwalk.mean_squared_error(after.weights, after.bias)
    return after._replace(updates=run.updates + ~run.done, done=run.done | (error < SMALL_ERROR))


@partial(jax.jit, static_argnames="selection", donate_argnames="runs")
def advance(replay: Any, selection: str, runs: Run) -> Run:
    """All runs side by side, until all are done or for `CHUNK` updates.

    The loop is outside of `vmap`: within, JAX would copy each memory wherever one run is done.
    """
    update = partial(learn_from_oracle if selection == "oracle" else learn_from_draw, replay)
    every = jax.vmap(partial(update_and_count, update))

    def keep_going(carry: tuple[Array, Run]) -> Array:
        return (carry[0] < CHUNK) & ~jnp.all(carry[1].done)

    def body(carry: tuple[Array, Run]) -> tuple[Array, Run]:
        return carry[0] + 1, every(carry[1])

    return jax.lax.while_loop(keep_going, body, (jnp.int32(0), runs))[1]


def count_updates(selection: str, states: int, keys: Array, bar: tqdm) -> np.ndarray:
    """Updates that each run took, [2, runs]: with a table and with linear features.

    Infinity is what a run took that was given up, as a greedy one may have to be: it never again
    draws what was of no interest when it was seen.
    """
    replay = make_replay(selection, states)
    bias = jnp.repeat(jnp.arange(2.0), len(keys))
    runs = jax.jit(jax.vmap(partial(start, replay, states)))(jnp.tile(keys, 2), bias)
    done = updates = 0
    while done < len(bias) and updates < PATIENCE * replay.capacity:
        runs = advance(replay, selection, runs)
        now, updates = int(runs.done.sum()), int(runs.updates.max())
        bar.set_description(f"{states} states, {selection}, {updates:,} updates", refresh=False)
        bar.update(now - done)
        done = now
    return np.where(runs.done, runs.updates, np.inf).reshape(2, len(keys))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Updates that the Blind Cliffwalk takes, by how transitions are selected.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--smallest", type=int, default=2, help="states at first, at least 2")
    add("--largest", type=int, default=13, help="states at last; the paper went to 16")
    add("--runs", type=int, default=10, help="runs of each kind, side by side")
    add("--seed", type=int, default=0, help="random seed that the runs start from")
    add("--output", type=Path, default=Path("blind_cliffwalk.png"), help="picture to write")
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
