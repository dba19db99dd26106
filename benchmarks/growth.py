"""How draws and updates grow with the capacity, on this CPU: `python -m benchmarks.growth`.

All capacities are measured in one process in turn. A draw is also timed without its items, which
XLA then leaves out: that much is the tree's.
"""

import argparse
from typing import Any

import jax
import numpy as np

import jaxper
from benchmarks.contenders import jaxper as jaxper_contender
from benchmarks.harness import compiled_loop, timing
from benchmarks.harness.work import Loop, make_work

ADDED = 64


def make_loops(capacity: int, batch_size: int) -> dict[str, Loop]:
    """A draw with and without items, and an update, each of a replay of its own."""
    job = make_work(capacity, batch_size, ADDED)
    replay = jaxper.PrioritizedReplay(capacity)

    def without_items(state: Any, key: Any) -> tuple[Any, Any, Any]:
        drawn = replay.sample(state, key, batch_size, beta=0.4)
        return (), drawn.ids, (drawn.probabilities, drawn.weights)

    state = jaxper_contender.fill_replay(replay, job)
    alone = compiled_loop.make_loops(
        job, state, replay.add, without_items, replay.update_priorities
    )
    with_items = jaxper_contender.contenders()[0].make_loops(job)["sample"]
    return {
        "sample": with_items,
        "sample, without items": alone["sample"],
        "update": alone["update"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capacities", type=int, nargs="+", default=[10**k for k in (4, 5, 6, 7)])
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=0.05, help="per run and round")
    arguments = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    loops = {
        capacity: make_loops(capacity, arguments.batch_size) for capacity in arguments.capacities
    }
    head = " | ".join(f"{capacity:,}" for capacity in loops)
    print(f"| microseconds, batch {arguments.batch_size} | {head} |")
    print("| --- |" + " ---: |" * len(loops))
    for operation in loops[arguments.capacities[0]]:
        chosen = {str(capacity): loops[capacity][operation] for capacity in loops}
        times = list(timing.time_in_turn(chosen, arguments.rounds, arguments.seconds).values())
        entries = [f"{np.median(t):,.1f} ({np.median(t / times[0]):.2f}x)" for t in times]
        print(f"| {operation} | " + " | ".join(entries) + " |", flush=True)


if __name__ == "__main__":
    main()
