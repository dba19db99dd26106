"""flashbax: items as sequences of one step. It returns no importance weights."""

from importlib import metadata

import jax
import numpy as np

from benchmarks.harness import compiled_loop
from benchmarks.harness.work import Contender, Loop, Work


def list_contenders() -> list[Contender]:
    """Returns its two ways to write priorities, which it selects by the name of a device."""
    import flashbax  # noqa: F401

    version = metadata.version("flashbax")
    return [
        Contender('flashbax, device="cpu"', version, lambda work: _make_loops(work, "cpu")),
        Contender('flashbax, device="gpu"', version, lambda work: _make_loops(work, "gpu")),
    ]


def _make_loops(work: Work, device: str) -> dict[str, Loop]:
    from flashbax.buffers import prioritized_trajectory_buffer as module

    add_size = len(work.rows["reward"])

    # These functions are put together as in `make_prioritised_trajectory_buffer`, which would
    # replace device="gpu" by "cpu" on a machine without a GPU.
    def init(item):
        return module.prioritized_init(item, add_size, work.capacity // add_size, period=1)

    def add(state, rows, device=device):
        steps = jax.tree.map(lambda array: array[:, None], rows)
        return module.prioritized_add(
            state, steps, sample_sequence_length=1, period=1, device=device
        )

    def sample(state, key):
        batch = module.prioritized_sample(state, key, work.batch_size, sequence_length=1, period=1)
        items = jax.tree.map(lambda array: array[:, 0], batch.experience)
        return items, batch.indices, batch.probabilities

    def update(state, ids, priorities):
        return module.set_priorities(state, ids, priorities, 0.6, device)

    # With device="gpu" each add writes the whole tree. With "cpu" the state is the same, and full
    # within seconds.
    def fill(rows, ids, priorities):
        state = init(jax.tree.map(lambda array: array[0], rows))
        state = jax.lax.fori_loop(
            0, work.capacity // add_size, lambda _, state: add(state, rows, "cpu"), state
        )
        return module.set_priorities(state, ids, priorities, 0.6, "cpu")

    # GPU: the loops of device="cpu" would take minutes there, so the state is filled on the CPU.
    with jax.default_device(jax.devices("cpu")[0]):
        ids = np.arange(work.capacity, dtype=np.int32)
        state = jax.jit(fill)(work.rows, ids, work.first_priorities)
    state = jax.device_put(state, jax.devices()[0])
    return compiled_loop.make_work_loops(work, state, add, sample, update)
