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
from benchmarks.harness.work import OPERATIONS, VARIANTS, Run, Work, work
from jaxper.storage import ring

ADDED, BATCH, LARGE_BATCH = 64, 256, 4096
IMAGE = (84, 84, 4)
AT_A_TIME = VARIANTS  # runs in one loop of known length
ROUNDS, SECONDS = 9, 0.1


class Line(NamedTuple):
    """Something that was measured, and what it is to be held against."""

    what: str
    microseconds: float
    against: str
    ratio: float  # how many times as long the other took


def compared(what: str, run: Run, against: str, other: Run) -> Line:
    """Both run in turn."""
    times = timing.interleaved({"this": run, "other": other}, ROUNDS, SECONDS)
    ratio = float(np.median(times["other"] / times["this"]))
    return Line(what, float(np.median(times["this"])) / AT_A_TIME, against, ratio)


def work_of(capacity: int) -> Work:
    """Small transitions, in batches of `BATCH`."""
    return work(capacity, BATCH, ADDED)._replace(at_a_time=AT_A_TIME)


def steps(capacity: int) -> Iterator[Line]:
    """Whole steps of small transitions."""
    job = work_of(capacity)
    own = jaxper_contender.contenders()[0].make(job)
    if importlib.util.find_spec("flashbax") is None:
        times = timing.interleaved({"step": own["step"]}, ROUNDS, SECONDS)["step"]
        microseconds = float(np.median(times)) / AT_A_TIME
        yield Line("step", microseconds, "flashbax is not installed", float("nan"))
        return
    flashbax = flashbax_contender.contenders()[1]
    other = flashbax.make(job)
    for operation in OPERATIONS:
        yield compared(operation, own[operation], flashbax.name, other[operation])


def growth(capacities: list[int]) -> Iterator[Line]:
    """Draw and update at each capacity against the first."""
    runs = [without_items(capacity) for capacity in capacities]
    for capacity, run in zip(capacities, runs, strict=True):
        what = f"sample and update without items, {capacity:,} of them"
        yield compared(what, run, f"{capacities[0]:,} items", runs[0])


def without_items(capacity: int) -> Run:
    """Draws and updates of a replay whose items are one number each, and are not asked for."""
    job = work_of(capacity)
    job = job._replace(rows={"reward": job.rows["reward"]})
    replay = jaxper.PrioritizedReplay(capacity)
    keys, priorities = jax.random.split(jax.random.key(1), VARIANTS), jnp.asarray(job.priorities)

    def body(state: Any, _: Any, i: Any) -> tuple[Any, Any]:
        drawn = replay.sample(state, keys[i], BATCH)
        return replay.update_priorities(state, drawn.ids, priorities[i]), drawn.weights

    held = [jaxper_contender.full(replay, job), jnp.zeros(BATCH)]
    return compiled_loop.loop(held, body, AT_A_TIME)


def images(capacity: int) -> Iterator[Line]:
    """The gather of image pairs against a copy of as many that lie side by side."""
    item = {name: jax.ShapeDtypeStruct(IMAGE, jnp.uint8) for name in ("now", "next")}
    replay = jaxper.PrioritizedReplay(capacity)
    state = replay.init(item)
    for batch_size in (BATCH, LARGE_BATCH):
        held, gather, copy = gather_and_copy(replay, state, batch_size)
        yield compared(
            f"gather of {batch_size} pairs of {'x'.join(map(str, IMAGE))} images, "
            f"{ring.nbytes(held[1]) / 1e6:.1f} MB",
            compiled_loop.loop(held, gather, AT_A_TIME),
            "a copy of as many side by side",
            compiled_loop.loop(held, copy, AT_A_TIME),
        )
        state = held[0]


def gather_and_copy(
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
            slice_of(leaf, starts[i], old.shape)
            for leaf, old in zip(state.storage.large, batch, strict=True)
        ]

    def slice_of(leaf: Any, start: Any, shape: Any) -> Any:
        # As words: of bytes a GPU moves 4 a thread, of words 16.
        words = jax.lax.bitcast_convert_type(leaf.reshape(len(leaf), -1, 4), jnp.uint32)
        words = jax.lax.dynamic_slice_in_dim(words, start, batch_size)
        return jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(shape)

    batch = [jnp.zeros((batch_size, *leaf.shape[1:]), leaf.dtype) for leaf in state.storage.large]
    return [state, batch], gather, copy


def side_by_side(capacity: int, replays: int) -> Line:
    """Steps of many replays under `vmap` against those of one."""
    job = work_of(capacity)
    return compared(
        f"step of {replays} replays of {capacity:,} under vmap",
        _vmapped(job, replays)["step"],
        "one replay under vmap",
        _vmapped(job, 1)["step"],
    )


def _vmapped(job: Work, replays: int) -> dict[str, Run]:
    replay = jaxper.PrioritizedReplay(job.capacity)
    one = jaxper_contender.full(replay, job)
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

    return compiled_loop.runs(job, state, add, sample, update)


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
    for line in measured(arguments):
        ratio = "" if np.isnan(line.ratio) else f"{line.ratio:.3g}x"
        lines.append(f"| {line.what} | {line.microseconds:,.1f} | {line.against} | {ratio} |")
        print(lines[-1], flush=True)
    arguments.output.write_text("\n".join(lines) + "\n")


def measured(arguments: Any) -> Iterator[Line]:
    yield from steps(arguments.capacity)
    yield from growth(arguments.growth)
    yield from images(arguments.images)
    yield side_by_side(arguments.replay_capacity, arguments.replays)


if __name__ == "__main__":
    main()
