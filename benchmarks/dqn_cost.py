"""What prioritization costs the example DQN in steps per second: `python -m benchmarks.dqn_cost`.

Uniform and prioritized runs advance in turn. Takes the options of `examples/dqn.py` and its extra.
"""

from functools import partial
from typing import Any

import jax
import numpy as np

from benchmarks.harness import timing
from benchmarks.harness.training import dqn
from benchmarks.harness.work import Loop

CHUNK, ROUNDS = 100, 15


def make_loop(arguments: Any, name: str) -> Loop:
    """What advances all seeds of an experiment by `CHUNK` steps of every environment, in place."""
    experiment = dqn.set_up(arguments, name)
    keys = jax.random.split(jax.random.key(arguments.seed), arguments.seeds)
    held = [jax.jit(jax.vmap(partial(dqn.start, experiment)))(keys)]

    program = jax.jit(partial(dqn.advance, experiment, CHUNK), donate_argnums=0)

    def run(count: int) -> None:
        for _ in range(count):
            held[0], _ = jax.block_until_ready(program(held[0]))

    return run


def main() -> None:
    arguments = dqn.make_parser().parse_args()
    runs = {name: make_loop(arguments, name) for name in ("uniform", "prioritized")}
    times = timing.time_in_turn(runs, ROUNDS, seconds=1.0)
    steps = CHUNK * dqn.NUM_ENVS * arguments.seeds
    for name, microseconds in times.items():
        print(f"{name}: {steps / np.median(microseconds) * 1e3:,.1f} thousand steps a second")
    lost = 1 - np.median(times["uniform"] / times["prioritized"])
    print(f"prioritized loses {lost:.0%} (median of {ROUNDS} pairs)")


if __name__ == "__main__":
    main()
