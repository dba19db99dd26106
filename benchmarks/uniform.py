"""Uniform draws beside flashbax's two buffers, on this CPU: `python -m benchmarks.uniform`.

Each operation in a compiled loop, all contenders in one process in turn. Microseconds, and how many
times as long as jaxper, the median of pairs.
"""

import argparse
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

import jaxper
from benchmarks.harness import compiled_loop, timing
from benchmarks.harness.work import VARIANTS, Loop, Work, make_work

ADDED = 64


def _make_loops(work: Work, init: Callable, add: Callable, sample: Callable) -> dict[str, Loop]:
    """Adds, draws, and both, of one full buffer: a step adds first, so nothing is copied."""
    rows = jax.tree.map(jnp.asarray, work.rows)
    keys = jax.random.split(jax.random.key(1), VARIANTS)

    @jax.jit
    def full() -> Any:
        state = init(jax.tree.map(lambda leaf: leaf[0], rows))
        adds = work.capacity // ADDED
        return jax.lax.fori_loop(0, adds, lambda _, state: add(state, rows), state)

    state = full()
    drawn = jax.eval_shape(sample, state, keys[0])
    held = [state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), drawn)]

    def step(state: Any, drawn: Any, i: Any) -> tuple[Any, Any]:
        state = add(state, rows)
        return state, sample(state, keys[i])

    bodies = {
        "add": lambda state, drawn, i: (add(state, rows), drawn),
        "sample": lambda state, drawn, i: (state, sample(state, keys[i])),
        "add and sample": step,
    }
    return {name: compiled_loop.compile_loop(held, body, 1) for name, body in bodies.items()}


def make_loops(work: Work) -> dict[str, dict[str, Loop]]:
    """The runs of each; flashbax's where it is installed."""
    replay, size = jaxper.UniformReplay(work.capacity), work.batch_size
    loops = {
        "jaxper": _make_loops(
            work, replay.init, replay.add, lambda s, key: replay.sample(s, key, size)
        )
    }
    try:
        import flashbax
    except ImportError as error:
        print(f"Missing: flashbax ({error}).\n")
        return loops
    items = flashbax.make_item_buffer(work.capacity, size, size, add_batches=True)
    loops["flashbax, items"] = _make_loops(work, items.init, items.add, items.sample)
    steps: Any = flashbax.make_trajectory_buffer(
        add_batch_size=ADDED,
        sample_batch_size=size,
        sample_sequence_length=1,
        period=1,
        min_length_time_axis=1,
        max_length_time_axis=work.capacity // ADDED,
    )

    def add(state: Any, rows: Any) -> Any:
        return steps.add(state, jax.tree.map(lambda leaf: leaf[:, None], rows))

    loops["flashbax, trajectories"] = _make_loops(work, steps.init, add, steps.sample)
    return loops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capacities", type=int, nargs="+", default=[2**14, 2**20])
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 256, 4096])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.03, help="per run and round")
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
