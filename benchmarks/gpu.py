"""jaxper on a GPU, beside flashbax if that is installed: `python -m benchmarks.gpu`.

It needs JAX with a GPU, and nothing else. It measures whole steps, draws and updates without items,
the gather of images against a copy of as many bytes, growth with the capacity, and many replays
under `vmap`. The two things that a line compares are timed in turn in one process. The command
writes a Markdown table.
"""

import argparse
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxper
from benchmarks.contenders import flashbax as flashbax_contender
from benchmarks.contenders import jaxper as jaxper_contender
from benchmarks.harness import compiled_loop, timing
from benchmarks.harness.arrays import nbytes
from benchmarks.harness.work import OPERATIONS, VARIANTS, Loop, Work, make_work

ADDED, BATCH, LARGE_BATCH = 64, 256, 4096
IMAGE = (84, 84, 4)
INNER_TURNS = VARIANTS
ROUNDS, SECONDS = 9, 0.1


class Comparison(NamedTuple):
    """The time of something, and its ratio to the time of something else."""

    what: str
    microseconds: float
    against: str
    ratio: float  # how many times as long the other took


def compare(what: str, loop: Loop, against: str, other: Loop) -> Comparison:
    """Times both loops in turn."""
    times = timing.time_in_turn({"this": loop, "other": other}, ROUNDS, SECONDS)
    ratio = float(np.median(times["other"] / times["this"]))
    return Comparison(what, float(np.median(times["this"])) / INNER_TURNS, against, ratio)


def make_small_work(capacity: int) -> Work:
    """Returns work with small transitions, in batches of `BATCH`."""
    return make_work(capacity, BATCH, ADDED)._replace(inner_turns=INNER_TURNS)


def measure(arguments: argparse.Namespace) -> Iterator[Comparison]:
    """Yields all lines of the table."""
    yield from compare_operations(arguments.capacity)
    yield from compare_capacities(arguments.growth)
    yield from compare_images(arguments.images)
    yield compare_replays_under_vmap(arguments.replay_capacity, arguments.replays)


def compare_operations(capacity: int) -> Iterator[Comparison]:
    """Compares all operations with flashbax. Without flashbax only the step is timed."""
    work = make_small_work(capacity)
    loops = jaxper_contender.list_contenders()[0].make_loops(work)
    if importlib.util.find_spec("flashbax") is None:
        times = timing.time_in_turn({"step": loops["step"]}, ROUNDS, SECONDS)["step"]
        microseconds = float(np.median(times)) / INNER_TURNS
        yield Comparison("step", microseconds, "flashbax is not installed", float("nan"))
        return
    flashbax = flashbax_contender.list_contenders()[1]
    others = flashbax.make_loops(work)
    for operation in OPERATIONS:
        yield compare(operation, loops[operation], flashbax.name, others[operation])


def compare_capacities(capacities: list[int]) -> Iterator[Comparison]:
    """Compares a draw with its update at each capacity with the first capacity."""
    loops = [make_loop_without_items(capacity) for capacity in capacities]
    for capacity, loop in zip(capacities, loops, strict=True):
        what = f"sample and update without items, {capacity:,} of them"
        yield compare(what, loop, f"{capacities[0]:,} items", loops[0])


def make_loop_without_items(capacity: int) -> Loop:
    """Returns a loop of draws and updates. The items, one number each, are not read."""
    work = make_small_work(capacity)
    work = work._replace(rows={"reward": work.rows["reward"]})
    replay = jaxper.PrioritizedReplay(capacity)
    keys, priorities = jax.random.split(jax.random.key(1), VARIANTS), jnp.asarray(work.priorities)

    def body(state: Any, _: Any, i: Any) -> tuple[Any, Any]:
        sample = replay.sample(state, keys[i], BATCH)
        return replay.update_priorities(state, sample.ids, priorities[i]), sample.weights

    carry = [jaxper_contender.fill_replay(replay, work), jnp.zeros(BATCH)]
    return compiled_loop.compile_loop(carry, body, INNER_TURNS)


def compare_images(capacity: int) -> Iterator[Comparison]:
    """Compares the gather of random pairs of images with a copy of as many that lie together."""
    item = {name: jax.ShapeDtypeStruct(IMAGE, jnp.uint8) for name in ("now", "next")}
    replay = jaxper.PrioritizedReplay(capacity)
    state = replay.init(item)
    for batch_size in (BATCH, LARGE_BATCH):
        carry, gather, copy = make_gather_and_copy(replay, state, batch_size)
        yield compare(
            f"gather of {batch_size} pairs of {'x'.join(map(str, IMAGE))} images, "
            f"{nbytes(carry[1]) / 1e6:.1f} MB",
            compiled_loop.compile_loop(carry, gather, INNER_TURNS),
            "a copy of as many side by side",
            compiled_loop.compile_loop(carry, copy, INNER_TURNS),
        )
        state = carry[0]


def make_gather_and_copy(
    replay: jaxper.PrioritizedReplay, state: Any, batch_size: int
) -> tuple[list[Any], compiled_loop.Body, compiled_loop.Body]:
    """Returns a state and a batch, and two functions that fill the batch.

    The first one reads random slots, the second one neighbouring slots.
    """
    ids = jax.random.randint(
        jax.random.key(0), (VARIANTS, batch_size), 0, replay.capacity, jnp.int32
    )
    starts = ids[:, 0] % (replay.capacity - batch_size)

    def gather(state: Any, _: Any, i: Any) -> tuple[Any, Any]:
        return state, jax.tree.leaves(replay.get(state, ids[i].astype(jnp.uint32)))

    def copy(state: Any, batch: Any, i: Any) -> tuple[Any, Any]:
        return state, [
            slice_images(array, starts[i], old.shape)
            for array, old in zip(find_images(state), batch, strict=True)
        ]

    def slice_images(array: Any, start: Any, shape: Any) -> Any:
        # GPU: a thread moves 16 bytes at a time if they are words, and 4 if they are bytes.
        words = jax.lax.bitcast_convert_type(array.reshape(len(array), -1, 4), jnp.uint32)
        words = jax.lax.dynamic_slice_in_dim(words, start, batch_size)
        return jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(shape)

    batch = [jnp.zeros((batch_size, *array.shape[1:]), array.dtype) for array in find_images(state)]
    return [state, batch], gather, copy


def find_images(state: Any) -> list[Any]:
    """Returns the arrays of images in a state, uint8 [capacity, *IMAGE]."""
    return [array for array in jax.tree.leaves(state) if array.shape[1:] == IMAGE]


def compare_replays_under_vmap(capacity: int, replays: int) -> Comparison:
    """Compares the step of many replays under `vmap` with the step of one."""
    work = make_small_work(capacity)
    return compare(
        f"step of {replays} replays of {capacity:,} under vmap",
        _make_loops_under_vmap(work, replays)["step"],
        "one replay under vmap",
        _make_loops_under_vmap(work, 1)["step"],
    )


def _make_loops_under_vmap(work: Work, replays: int) -> dict[str, Loop]:
    replay = jaxper.PrioritizedReplay(work.capacity)
    one = jaxper_contender.fill_replay(replay, work)
    state = jax.tree.map(lambda array: jnp.repeat(array[None], replays, axis=0), one)

    def add(state: Any, rows: Any) -> Any:
        return jax.vmap(replay.add, in_axes=(0, None))(state, rows)

    def sample(state: Any, key: Any) -> Any:
        keys = jax.random.split(key, replays)
        sample = jax.vmap(lambda state, key: replay.sample(state, key, BATCH))(state, keys)
        return sample.items, sample.ids, (sample.probabilities, sample.weights)

    def update(state: Any, ids: Any, priorities: Any) -> Any:
        ids = jnp.broadcast_to(ids, (replays, BATCH))
        priorities = jnp.broadcast_to(priorities, (replays, BATCH))
        return jax.vmap(replay.update_priorities)(state, ids, priorities)

    return compiled_loop.make_work_loops(work, state, add, sample, update)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--capacity", type=int, default=2**20, help="items of the replay that is compared")
    add("--growth", type=int, nargs="+", default=[10**6, 10**7, 10**8], help="capacities")
    add("--images", type=int, default=100_000, help="pairs of images that the replay keeps")
    add("--replays", type=int, default=256, help="replays under vmap")
    add("--replay-capacity", type=int, default=10_000, help="items of each of them")
    add("--output", type=Path, default=Path("gpu.md"), help="table to write")
    arguments = parser.parse_args()
    device = jax.devices()[0]
    lines = [
        f"{device.device_kind}, jax {jax.__version__}, jaxper {jaxper.__version__}; add {ADDED}, "
        f"batches of {BATCH}, {arguments.capacity:,} items unless said; medians",
        "",
        "| what | microseconds | against | which took |",
        "| --- | ---: | --- | ---: |",
    ]
    print("\n".join(lines), flush=True)
    for line in measure(arguments):
        ratio = "" if np.isnan(line.ratio) else f"{line.ratio:.3g}x"
        lines.append(f"| {line.what} | {line.microseconds:,.1f} | {line.against} | {ratio} |")
        print(lines[-1], flush=True)
    arguments.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
