"""How draws and updates grow with the capacity, on this CPU: `python -m benchmarks.growth`.

All capacities are measured in one process in turn. A draw is also timed without its items, which
XLA then leaves out. What remains is the time of the tree.
"""

from typing import Any

import jax
import numpy as np

import jaxper
from benchmarks.contenders import jaxper as jaxper_contender
from benchmarks.harness import compiled_loop, timing
from benchmarks.harness.work import Loop, make_work

ADDED = 64


def make_loops(capacity: int, batch_size: int) -> dict[str, Loop]:
    """Returns the loops of a draw with and without items, and of an update."""
    work = make_work(capacity, batch_size, ADDED)
    replay = jaxper.PrioritizedReplay(capacity)

    def sample(state: Any, key: Any) -> tuple[Any, Any, Any]:
        sample = replay.sample(state, key, batch_size, beta=0.4)
        return (), sample.ids, (sample.probabilities, sample.weights)

    state = jaxper_contender.fill_replay(replay, work)
    without_items = compiled_loop.make_work_loops(
        work, state, replay.add, sample, replay.update_priorities
    )
    (contender,) = jaxper_contender.list_contenders()
    return {
        "sample": contender.make_loops(work)["sample"],
        "sample, without items": without_items["sample"],
        "update": without_items["update"],
    }


def main() -> None:
    parser = timing.make_parser(__doc__, rounds=15, seconds=0.05)
    parser.add_argument("--capacities", type=int, nargs="+", default=[10**k for k in (4, 5, 6, 7)])
    parser.add_argument("--batch-size", type=int, default=256)
    arguments = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    loops = {c: make_loops(c, arguments.batch_size) for c in arguments.capacities}
    head = " | ".join(f"{capacity:,}" for capacity in loops)
    print(f"| microseconds, batch {arguments.batch_size} | {head} |")
    print("| --- |" + " ---: |" * len(loops))
    for operation in loops[arguments.capacities[0]]:
        chosen = {str(capacity): each[operation] for capacity, each in loops.items()}
        times = list(timing.time_in_turn(chosen, arguments.rounds, arguments.seconds).values())
        entries = [f"{np.median(t):,.1f} ({np.median(t / times[0]):.2f}x)" for t in times]
        print(f"| {operation} | " + " | ".join(entries) + " |", flush=True)


if __name__ == "__main__":
    main()
