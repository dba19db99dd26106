"""The steps per second that prioritization costs the example: `python -m benchmarks.dqn_cost`.

Runs with uniform and with prioritized replay advance in turn. The command has the options of
`examples/dqn.py`, and needs the extra `examples`.
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
    """Returns a loop that advances all seeds by `CHUNK` steps of every environment, in place."""
    experiment = dqn.set_up(arguments, name)
    keys = jax.random.split(jax.random.key(arguments.seed), arguments.seeds)
    carry = [jax.jit(jax.vmap(partial(dqn.start, experiment)))(keys)]

    program = jax.jit(partial(dqn.advance, experiment, CHUNK), donate_argnums=0)

    def run(count: int) -> None:
        for _ in range(count):
            carry[0], _ = jax.block_until_ready(program(carry[0]))

    return run


def main() -> None:
    arguments = dqn.make_parser().parse_args()
    loops = {name: make_loop(arguments, name) for name in ("uniform", "prioritized")}
    times = timing.time_in_turn(loops, ROUNDS, seconds=1.0)
    steps = CHUNK * dqn.NUM_ENVS * arguments.seeds
    for name, microseconds in times.items():
        print(f"{name}: {steps / np.median(microseconds) * 1e3:,.1f} thousand steps a second")
    lost = 1 - np.median(times["uniform"] / times["prioritized"])
    print(f"prioritized loses {lost:.0%} (median of {ROUNDS} pairs)")


if __name__ == "__main__":
    main()
