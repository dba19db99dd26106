"""Streams beside flashbax's prioritised trajectories, on this CPU: `python -m benchmarks.streams`.

One-step transitions, and sequences of 121 steps that begin at every 40th, as R2D2 takes them. Each
operation in a compiled loop, both contenders in one process in turn. A step adds, draws a batch and
gives it new priorities. Microseconds, and how many times as long as jaxper, the median of pairs.
"""

import argparse
import contextlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import jaxper
from benchmarks.harness import compiled_loop, timing
from benchmarks.harness.work import VARIANTS, Loop

OBSERVATION = 8  # float32 of a step's observation


class Job(NamedTuple):
    """Environments in lockstep, and what is added and drawn of them."""

    num_envs: int
    length: int  # steps that are drawn; 2 for a transition
    period: int  # steps between starts
    added: int  # steps of each environment
    batch_size: int


SEQUENCES = [Job(num_envs, 121, 40, 40, 64) for num_envs in (1, 32, 256, 1024)]
JOBS = [Job(num_envs, 2, 1, 1, 256) for num_envs in (1, 32, 256, 1024)] + SEQUENCES


def random_steps(job: Job) -> jaxper.TimeStep:
    """What an add gets, leaves [added, num_envs, ...]."""
    random, shape = np.random.default_rng(0), (job.added, job.num_envs)
    observation = random.normal(size=(*shape, OBSERVATION)).astype(np.float32)
    reward, none = random.normal(size=shape).astype(np.float32), np.zeros(shape, bool)
    return jaxper.TimeStep(observation, np.zeros(shape, np.int32), reward, none, none)


def _make_loops(state: Any, add: Callable, sample: Callable, update: Callable) -> dict[str, Loop]:
    """Adds, draws and whole steps; a draw gives what was drawn, and its ids."""
    keys = jax.random.split(jax.random.key(1), VARIANTS)
    drawn = jax.eval_shape(sample, state, keys[0])
    held = [state, jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), drawn)]

    def step(state: Any, drawn: Any, i: Any) -> tuple[Any, Any]:
        state = add(state)
        drawn = sample(state, keys[i])
        return update(state, drawn[1], compiled_loop.errors(drawn, drawn[1].shape)), drawn

    bodies = {
        "add": lambda state, drawn, i: (add(state), drawn),
        "sample": lambda state, drawn, i: (state, sample(state, keys[i])),
        "step": step,
    }
    return {name: compiled_loop.compile_loop(held, body, 1) for name, body in bodies.items()}


def _fill(init: Callable, add: Callable, adds: int) -> Any:
    """The state after so many adds."""
    return jax.jit(lambda: jax.lax.fori_loop(0, adds, lambda _, state: add(state), init()))()


def make_jaxper_loops(job: Job, capacity: int) -> dict[str, Loop]:
    """A stream, seen as one-step transitions or as sequences."""
    sequences = jaxper.Sequences(job.num_envs, job.length, job.period, boundaries="cross")
    view = jaxper.Transitions(job.num_envs) if job.length == 2 else sequences
    replay = jaxper.PrioritizedReplay(capacity, view=view)
    steps = jax.tree.map(jnp.asarray, random_steps(job))

    def add(state: Any) -> Any:
        return replay.add(state, steps)

    def sample(state: Any, key: Any) -> tuple[Any, Any]:
        drawn = replay.sample(state, key, job.batch_size)
        return (drawn.items, drawn.probabilities, drawn.weights), drawn.ids

    def init() -> Any:
        return replay.init(jax.tree.map(lambda leaf: leaf[0, 0], steps))

    state = _fill(init, add, capacity // job.num_envs // job.added)
    return _make_loops(state, add, sample, replay.update_priorities)


def make_flashbax_loops(job: Job, capacity: int) -> dict[str, Loop]:
    """Its prioritised trajectory buffer, of which its flat buffer takes two steps at a time."""
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
    steps = jax.tree.map(lambda leaf: jnp.asarray(leaf).swapaxes(0, 1), random_steps(job))._asdict()

    def add(state: Any) -> Any:
        return buffer.add(state, steps)

    def sample(state: Any, key: Any) -> tuple[Any, Any]:
        drawn = buffer.sample(state, key)
        return (drawn.experience, drawn.probabilities), drawn.indices

    def init() -> Any:
        return buffer.init(jax.tree.map(lambda leaf: leaf[0, 0], steps))

    state = _fill(init, add, capacity // job.num_envs // job.added)
    return _make_loops(state, add, sample, buffer.set_priorities)


def make_loops(job: Job, capacity: int) -> dict[str, dict[str, Loop]]:
    """The runs of each; flashbax's where it is installed."""
    loops = {"jaxper": make_jaxper_loops(job, capacity)}
    with contextlib.suppress(ImportError):
        loops["flashbax"] = make_flashbax_loops(job, capacity)
    return loops


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capacity", type=int, default=2**20)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.03, help="per run and round")
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
