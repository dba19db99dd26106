"""cpprb: C++ on the host. It brings its tree up to date when it is next drawn from."""

from importlib import metadata

import numpy as np

from benchmarks.harness import python_loop
from benchmarks.harness.work import Contender, Loop, Work, make_random_transitions


def list_contenders() -> list[Contender]:
    """Returns its prioritized buffer."""
    import cpprb  # noqa: F401

    return [Contender("cpprb", metadata.version("cpprb"), _make_loops)]


def _make_loops(work: Work) -> dict[str, Loop]:
    import cpprb

    arrays = {
        name: {"shape": array.shape[1:] or 1, "dtype": array.dtype}
        for name, array in work.rows.items()
    }
    buffer = cpprb.PrioritizedReplayBuffer(work.capacity, arrays, alpha=0.6)
    items = make_random_transitions(work.capacity, np.random.default_rng(1))
    buffer.add(**items, priorities=work.first_priorities)

    def sample():
        batch = buffer.sample(work.batch_size, beta=0.4)
        return batch["reward"].ravel(), batch["indexes"]

    return python_loop.make_loops(
        work, lambda: buffer.add(**work.rows), sample, buffer.update_priorities, np.asarray
    )
