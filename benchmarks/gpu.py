"""jaxper on a GPU: `python -m benchmarks.gpu`, with flashbax beside it where that is installed.

Needs JAX with a GPU and nothing else. Whole steps, draws and updates without items, the gather of
images against a copy of as many bytes, growth with the capacity, and many replays under `vmap`:
each line tells what was compared, timed in turn in one process. Writes a Markdown table.
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
from benchmarks.harness.work import OPERATIONS, VARIANTS, Loop, Work, make_work
from jaxper.storage import ring

ADDED, BATCH, LARGE_BATCH = 64, 256, 4096
IMAGE = (84, 84, 4)
INNER_TURNS = VARIANTS  # runs in one loop of known length
ROUNDS, SECONDS = 9, 0.1


class Comparison(NamedTuple):
    """Something that was measured, and what it is to be held against."""

    what: str
    microseconds: float
    against: str
    ratio: float  # how many times as long the other took


def compare(what: str, run: Loop, against: str, other: Loop) -> Comparison:
    """Both run in turn."""
    times = timing.time_in_turn({"this": run, "other": other}, ROUNDS, SECONDS)
    ratio = float(np.median(times["other"] / times["this"]))
    return Comparison(what, float(np.median(times["this"])) / INNER_TURNS, against, ratio)


def make_small_work(capacity: int) -> Work:
    """Small transitions, in batches of `BATCH`."""
    return make_work(capacity, BATCH, ADDED)._replace(inner_turns=INNER_TURNS)


def compare_steps(capacity: int) -> Iterator[Comparison]:
    """Whole steps of small transitions."""
    job = make_small_work(capacity)
    own = jaxper_contender.contenders()[0].make_loops(job)
    if importlib.util.find_spec("flashbax") is None:
        times = timing.time_in_turn({"step": own["step"]}, ROUNDS, SECONDS)["step"]
        microseconds = float(np.median(times)) / INNER_TURNS
        yield Comparison("step", microseconds, "flashbax is not installed", float("nan"))
        return
    flashbax = flashbax_contender.contenders()[1]
    other = flashbax.make_loops(job)
    for operation in OPERATIONS:
        yield compare(operation, own[operation], flashbax.name, other[operation])


def compare_growth(capacities: list[int]) -> Iterator[Comparison]:
    """Draw and update at each capacity against the first."""
    runs = [make_loop_without_items(capacity) for capacity in capacities]
    for capacity, run in zip(capacities, runs, strict=True):
        what = f"sample and update without items, {capacity:,} of them"
        yield compare(what, run, f"{capacities[0]:,} items", runs[0])


def make_loop_without_items(capacity: int) -> Loop:
    """Draws and updates of a replay whose items are one number each, and are not asked for."""
    job = make_small_work(capacity)
    job = job._replace(rows={"reward": job.rows["reward"]})
    replay = jaxper.PrioritizedReplay(capacity)
    keys, priorities = jax.random.split(jax.random.key(1), VARIANTS), jnp.asarray(job.priorities)

    def body(state: Any, _: Any, i: Any) -> tuple[Any, Any]:
        drawn = replay.sample(state, keys[i], BATCH)
        return replay.update_priorities(state, drawn.ids, priorities[i]), drawn.weights

    held = [jaxper_contender.fill_replay(replay, job), jnp.zeros(BATCH)]
    return compiled_loop.compile_loop(held, body, INNER_TURNS)


def compare_images(capacity: int) -> Iterator[Comparison]:
    """The gather of image pairs against a copy of as many that lie side by side."""
    item = {name: jax.ShapeDtypeStruct(IMAGE, jnp.uint8) for name in ("now", "next")}
    replay = jaxper.PrioritizedReplay(capacity)
    state = replay.init(item)
    for batch_size in (BATCH, LARGE_BATCH):
        held, gather, copy = make_gather_and_copy(replay, state, batch_size)
        yield compare(
            f"gather of {batch_size} pairs of {'x'.join(map(str, IMAGE))} images, "
            f"{ring.nbytes(held[1]) / 1e6:.1f} MB",
            compiled_loop.compile_loop(held, gather, INNER_TURNS),
            "a copy of as many side by side",
            compiled_loop.compile_loop(held, copy, INNER_TURNS),
        )
        state = held[0]


def make_gather_and_copy(
    replay: jaxper.PrioritizedReplay, state: Any, batch_size: int
) -> tuple[list[Any], Any, Any]:
    """A state and a batch, and what fills the batch: from random places, and from one."""
    ids = jax.random.randint(
        jax.random.key(0), (VARIANTS, batch_size), 0, replay.capacity, jnp.int32
    )
    starts = ids[:, 0] % (replay.capacity - batch_size)

    def gather(state: Any, _: Any, i: Any) -> tuple[Any, Any]:
        return state, jax.tree.leaves(replay.get(state, ids[i].astype(jnp.uint32)))

    def copy(state: Any, batch: Any, i: Any) -> tuple[Any, Any]:
        return state, [
            slice_images(leaf, starts[i], old.shape)
            for leaf, old in zip(state.storage.large, batch, strict=True)
        ]

    def slice_images(leaf: Any, start: Any, shape: Any) -> Any:
        # As words: of bytes a GPU moves 4 a thread, of words 16.
        words = jax.lax.bitcast_convert_type(leaf.reshape(len(leaf), -1, 4), jnp.uint32)
        words = jax.lax.dynamic_slice_in_dim(words, start, batch_size)
        return jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(shape)

    batch = [jnp.zeros((batch_size, *leaf.shape[1:]), leaf.dtype) for leaf in state.storage.large]
    return [state, batch], gather, copy


def compare_replays_under_vmap(capacity: int, replays: int) -> Comparison:
    """Steps of many replays under `vmap` against those of one."""
    job = make_small_work(capacity)
    return compare(
        f"step of {replays} replays of {capacity:,} under vmap",
        _make_loops_under_vmap(job, replays)["step"],
        "one replay under vmap",
        _make_loops_under_vmap(job, 1)["step"],
    )


def _make_loops_under_vmap(work: Work, replays: int) -> dict[str, Loop]:
    replay = jaxper.PrioritizedReplay(work.capacity)
    one = jaxper_contender.fill_replay(replay, work)
    state = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], replays, axis=0), one)

    def add(state: Any, rows: Any) -> Any:
        return jax.vmap(replay.add, in_axes=(0, None))(state, rows)

    def sample(state: Any, key: Any) -> Any:
        keys = jax.random.split(key, replays)
        drawn = jax.vmap(lambda state, key: replay.sample(state, key, BATCH))(state, keys)
        return drawn.items, drawn.ids, (drawn.probabilities, drawn.weights)

    def update(state: Any, ids: Any, priorities: Any) -> Any:
        ids = jnp.broadcast_to(ids, (replays, BATCH))
        priorities = jnp.broadcast_to(priorities, (replays, BATCH))
        return jax.vmap(replay.update_priorities)(state, ids, priorities)

    return compiled_loop.make_loops(work, state, add, sample, update)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capacity", type=int, default=2**20)
    parser.add_argument("--growth", type=int, nargs="+", default=[10**6, 10**7, 10**8])
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--replays", type=int, default=256)
    parser.add_argument("--replay-capacity", type=int, default=10_000)
    parser.add_argument("--output", type=Path, default=Path("gpu.md"))
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


def measure(arguments: Any) -> Iterator[Comparison]:
    yield from compare_steps(arguments.capacity)
    yield from compare_growth(arguments.growth)
    yield from compare_images(arguments.images)
    yield compare_replays_under_vmap(arguments.replay_capacity, arguments.replays)


if __name__ == "__main__":
    main()
