"""flashbax: items as sequences of one step. It gives no importance weights."""

from importlib import metadata

import jax
import numpy as np

from benchmarks.harness import compiled_loop
from benchmarks.harness.work import Contender, Loop, Work


def contenders() -> list[Contender]:
    """Its two ways to write priorities, which it picks by the name of a device."""
    import flashbax  # noqa: F401

    version = metadata.version("flashbax")
    return [
        Contender('flashbax, device="cpu"', version, lambda work: _make_loops(work, "cpu")),
        Contender('flashbax, device="gpu"', version, lambda work: _make_loops(work, "gpu")),
    ]


def _make_loops(work: Work, device: str) -> dict[str, Loop]:
    from flashbax.buffers import prioritised_trajectory_buffer as module

    add_size = len(work.rows["reward"])

    # What its make_prioritised_trajectory_buffer puts together, but for its replacing
    # device="gpu" by "cpu" where there is none.
    def init(item):
        return module.prioritised_init(item, add_size, work.capacity // add_size, period=1)

    def add(state, rows, device=device):
        steps = jax.tree.map(lambda leaf: leaf[:, None], rows)
        return module.prioritised_add(
            state, steps, sample_sequence_length=1, period=1, device=device
        )

    def sample(state, key):
        drawn = module.prioritised_sample(state, key, work.batch_size, sequence_length=1, period=1)
        items = jax.tree.map(lambda leaf: leaf[:, 0], drawn.experience)
        return items, drawn.indices, drawn.probabilities

    def update(state, ids, priorities):
        return module.set_priorities(state, ids, priorities, 0.6, device)

    # The same state either way, in seconds: with device="gpu" each add writes the whole tree.
    def fill(rows, ids, priorities):
        state = init(jax.tree.map(lambda leaf: leaf[0], rows))
        state = jax.lax.fori_loop(
            0, work.capacity // add_size, lambda _, state: add(state, rows, "cpu"), state
        )
        return module.set_priorities(state, ids, priorities, 0.6, "cpu")

    # A GPU would take minutes for the loops of the other path.
    with jax.default_device(jax.devices("cpu")[0]):
        state = jax.jit(fill)(
            work.rows, np.arange(work.capacity, dtype=np.int32), work.first_priorities
        )
    return compiled_loop.make_loops(
        work, jax.device_put(state, jax.devices()[0]), add, sample, update
    )
