"""Streams beside flashbax's prioritized trajectories, on this CPU: `python -m benchmarks.streams`.

Draws are one-step transitions, or sequences of 121 steps that begin at every 40th step, as in R2D2.
Each operation runs in a compiled loop, both contenders in one process in turn. A step adds, draws a
batch and updates its priorities. The table has microseconds, and how many times as long as jaxper
flashbax takes, the median of pairs.
"""

import contextlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxper
from benchmarks.harness import compiled_loop, timing
from benchmarks.harness.work import Loop

OBSERVATION_SIZE = 8


class Job(NamedTuple):
    """The environments in lockstep, and how much is added and drawn."""

    num_envs: int
    length: int  # steps that are drawn; 2 for a transition
    period: int  # steps between starts
    added: int  # steps of each environment
    batch_size: int


SEQUENCES = [Job(num_envs, 121, 40, 40, 64) for num_envs in (1, 32, 256, 1024)]
JOBS = [Job(num_envs, 2, 1, 1, 256) for num_envs in (1, 32, 256, 1024)] + SEQUENCES


def make_loops(job: Job, capacity: int) -> dict[str, dict[str, Loop]]:
    """Returns the loops of jaxper, and of flashbax if it is installed."""
    loops = {"jaxper": make_jaxper_loops(job, capacity)}
    with contextlib.suppress(ImportError):
        loops["flashbax"] = make_flashbax_loops(job, capacity)
    return loops


def make_jaxper_loops(job: Job, capacity: int) -> dict[str, Loop]:
    """Returns the loops of a stream with a view of one-step transitions, or of sequences."""
    sequences = jaxper.Sequences(job.num_envs, job.length, job.period, boundaries="cross")
    view = jaxper.Transitions(job.num_envs) if job.length == 2 else sequences
    replay = jaxper.PrioritizedReplay(capacity, view=view)
    steps = jax.tree.map(jnp.asarray, make_random_steps(job))

    def init() -> Any:
        return replay.init(jax.tree.map(lambda array: array[0, 0], steps))

    def add(state: Any) -> Any:
        return replay.add(state, steps)

    def sample(state: Any, key: Any) -> tuple[Any, Any]:
        sample = replay.sample(state, key, job.batch_size)
        return (sample.items, sample.probabilities, sample.weights), sample.ids

    state = compiled_loop.fill(init, add, capacity // job.num_envs // job.added)
    return compiled_loop.make_loops(state, add, sample, replay.update_priorities)


def make_flashbax_loops(job: Job, capacity: int) -> dict[str, Loop]:
    """Returns the loops of its prioritized trajectory buffer.

    Its flat buffer is this one with two steps to a draw.
    """
    import flashbax

    buffer: Any = flashbax.make_prioritised_trajectory_buffer(
        add_batch_size=job.num_envs,
        sample_batch_size=job.batch_size,
        sample_sequence_length=job.length,
        period=job.period,
        min_length_time_axis=job.length,
        max_length_time_axis=capacity // job.num_envs // job.period * job.period,
        device="cpu",
    )
    steps = make_random_steps(job)._asdict()
    steps = jax.tree.map(lambda array: jnp.asarray(array).swapaxes(0, 1), steps)

    def init() -> Any:
        return buffer.init(jax.tree.map(lambda array: array[0, 0], steps))

    def add(state: Any) -> Any:
        return buffer.add(state, steps)

    def sample(state: Any, key: Any) -> tuple[Any, Any]:
        sample = buffer.sample(state, key)
        return (sample.experience, sample.probabilities), sample.indices

    state = compiled_loop.fill(init, add, capacity // job.num_envs // job.added)
    return compiled_loop.make_loops(state, add, sample, buffer.set_priorities)


def make_random_steps(job: Job) -> jaxper.TimeStep:
    """Returns the steps of one add, arrays [added, num_envs, ...]."""
    random, shape = np.random.default_rng(0), (job.added, job.num_envs)
    observation = random.normal(size=(*shape, OBSERVATION_SIZE)).astype(np.float32)
    reward, none = random.normal(size=shape).astype(np.float32), np.zeros(shape, bool)
    return jaxper.TimeStep(observation, np.zeros(shape, np.int32), reward, none, none)


def main() -> None:
    parser = timing.make_parser(__doc__, rounds=11, seconds=0.03)
    parser.add_argument("--capacity", type=int, default=2**20)
    arguments = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    for number, job in enumerate(JOBS):
        loops = make_loops(job, arguments.capacity)
        if not number and "flashbax" not in loops:
            print("Missing: flashbax, which cannot be imported.\n")
        if not number:
            print("| steps | environments | batch | | " + " | ".join(loops) + " |")
            print("| ---: | ---: | ---: | --- |" + " ---: |" * len(loops))
        for operation in loops["jaxper"]:
            cells = timing.time_row(loops, operation, arguments.rounds, arguments.seconds)
            sizes = f"| {job.length} | {job.num_envs:,} | {job.batch_size} | {operation} |"
            print(f"{sizes} {cells} |", flush=True)


if __name__ == "__main__":
    main()
