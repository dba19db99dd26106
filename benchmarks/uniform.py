"""Uniform draws beside flashbax's two buffers, on this CPU: `python -m benchmarks.uniform`.

Each operation runs in a compiled loop, all contenders in one process in turn. The table has
microseconds, and how many times as long as jaxper each contender takes, the median of pairs.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import jaxper
from benchmarks.harness import compiled_loop, timing
from benchmarks.harness.work import Loop, Work, make_work

ADDED = 64


def make_loops(work: Work) -> dict[str, dict[str, Loop]]:
    """Returns the loops of jaxper, and of flashbax if it is installed."""
    replay, size = jaxper.UniformReplay(work.capacity), work.batch_size
    loops = {
        "jaxper": _make_loops(
            work, replay.init, replay.add, lambda state, key: replay.sample(state, key, size)
        )
    }
    try:
        import flashbax
    except ImportError as error:
        print(f"Missing: flashbax ({error}).\n")
        return loops
    items = flashbax.make_item_buffer(work.capacity, size, size, add_batches=True)
    loops["flashbax, items"] = _make_loops(work, items.init, items.add, items.sample)
    trajectories: Any = flashbax.make_trajectory_buffer(
        add_batch_size=ADDED,
        sample_batch_size=size,
        sample_sequence_length=1,
        period=1,
        min_length_time_axis=1,
        max_length_time_axis=work.capacity // ADDED,
    )

    def add(state: Any, rows: Any) -> Any:
        return trajectories.add(state, jax.tree.map(lambda array: array[:, None], rows))

    loops["flashbax, trajectories"] = _make_loops(work, trajectories.init, add, trajectories.sample)
    return loops


def _make_loops(work: Work, init: Callable, add: Callable, sample: Callable) -> dict[str, Loop]:
    """Returns the loops of one full buffer."""
    rows = jax.tree.map(jnp.asarray, work.rows)

    def add_rows(state: Any) -> Any:
        return add(state, rows)

    def init_empty() -> Any:
        return init(jax.tree.map(lambda array: array[0], rows))

    state = compiled_loop.fill(init_empty, add_rows, work.capacity // ADDED)
    loops = compiled_loop.make_loops(state, add_rows, sample)
    loops["add and sample"] = loops.pop("step")
    return loops


def main() -> None:
    parser = timing.make_parser(__doc__, rounds=11, seconds=0.03)
    parser.add_argument("--capacities", type=int, nargs="+", default=[2**14, 2**20])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 256, 4096])
    arguments = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    sizes = [(c, size) for c in arguments.capacities for size in arguments.batch_sizes]
    for number, (capacity, size) in enumerate(sizes):
        loops = make_loops(make_work(capacity, size, ADDED))
        if not number:
            print("| capacity | batch | | " + " | ".join(loops) + " |")
            print("| ---: | ---: | --- |" + " ---: |" * len(loops))
        for operation in loops["jaxper"]:
            cells = timing.time_row(loops, operation, arguments.rounds, arguments.seconds)
            print(f"| {capacity:,} | {size:,} | {operation} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
