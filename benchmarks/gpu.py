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
from benchmarks import compiled, timing, with_flashbax, with_jaxper
from benchmarks.work import VARIANTS, Run, Work, work

ADDED, BATCH = 64, 256
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
    return Line(what, float(np.median(times["this"])), against, ratio)


def without_items(capacity: int) -> dict[str, Run]:
    """Runs of a replay whose items are one number: draws and updates, next to no gather."""
    job = work(capacity, BATCH, ADDED)
    return with_jaxper.contenders()[0].make(job._replace(rows={"reward": job.rows["reward"]}))


def both(runs: dict[str, Run]) -> Run:
    """A draw, then an update."""

    def run(count: int) -> None:
        runs["sample"](count)
        runs["update"](count)

    return run


def steps(capacity: int) -> Iterator[Line]:
    """Whole steps of small transitions."""
    job = work(capacity, BATCH, ADDED)
    own = with_jaxper.contenders()[0].make(job)
    if importlib.util.find_spec("flashbax") is None:
        times = timing.interleaved({"step": own["step"]}, ROUNDS, SECONDS)["step"]
        yield Line("step", float(np.median(times)), "flashbax is not installed", float("nan"))
        return
    flashbax = with_flashbax.contenders()[1]
    other = flashbax.make(job)
    for operation in ("add", "sample", "update", "step"):
        yield compared(operation, own[operation], flashbax.name, other[operation])


def growth(capacities: list[int]) -> Iterator[Line]:
    """Draw and update at each capacity against the first."""
    runs = [both(without_items(capacity)) for capacity in capacities]
    for capacity, run in zip(capacities, runs, strict=True):
        what = f"sample + update of one number, {capacity:,} items"
        yield compared(what, run, f"{capacities[0]:,} items", runs[0])


def images(capacity: int) -> Line:
    """The gather of a batch of image pairs against a copy of the same bytes."""
    shape = (84, 84, 4)
    item = {name: jax.ShapeDtypeStruct(shape, jnp.uint8) for name in ("now", "next")}
    replay = jaxper.PrioritizedReplay(capacity)
    state = replay.init(item)
    ids = jax.random.randint(jax.random.key(0), (VARIANTS, BATCH), 0, capacity).astype(jnp.uint32)
    batch = replay.get(state, ids[0])

    def gather(i: Any, state: Any, batch: Any) -> Any:
        return replay.get(state, ids[i])

    def copy(i: Any, state: Any, batch: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf + jnp.uint8(1), batch)

    return compared(
        f"gather of {BATCH} pairs of {'x'.join(map(str, shape))} images",
        _repeated(gather, state, batch),
        "a copy of the same bytes",
        _repeated(copy, state, batch),
    )


def _repeated(function: Any, state: Any, batch: Any) -> Run:
    def looped(count: Any, state: Any, batch: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda i, b: function(i % VARIANTS, state, b), batch)

    program = jax.jit(looped)
    return lambda count: jax.block_until_ready(program(np.int32(count), state, batch))


def side_by_side(capacity: int, replays: int) -> Line:
    """Steps of many replays under `vmap` against those of one."""
    job = work(capacity, BATCH, ADDED)
    return compared(
        f"step of {replays} replays of {capacity:,} under vmap",
        _vmapped(job, replays)["step"],
        "one replay under vmap",
        _vmapped(job, 1)["step"],
    )


def _vmapped(job: Work, replays: int) -> dict[str, Run]:
    replay = jaxper.PrioritizedReplay(job.capacity)
    one = with_jaxper.full(replay, job)
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

    return compiled.runs(job, state, add, sample, update)


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
    yield images(arguments.images)
    yield side_by_side(arguments.replay_capacity, arguments.replays)


if __name__ == "__main__":
    main()
