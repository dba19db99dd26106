"""cpprb: C++ on the host, whose tree is brought up to date when it is next drawn from."""

from importlib import metadata

import numpy as np

from benchmarks.harness import python_loop
from benchmarks.harness.work import Contender, Loop, Work, random_transitions


def contenders() -> list[Contender]:
    """Its prioritized buffer."""
    import cpprb  # noqa: F401

    return [Contender("cpprb", metadata.version("cpprb"), _make_loops)]


def _make_loops(work: Work) -> dict[str, Loop]:
    import cpprb

    leaves = {
        name: {"shape": leaf.shape[1:] or 1, "dtype": leaf.dtype}
        for name, leaf in work.rows.items()
    }
    buffer = cpprb.PrioritizedReplayBuffer(work.capacity, leaves, alpha=0.6)
    buffer.add(
        **random_transitions(work.capacity, np.random.default_rng(1)),
        priorities=work.first_priorities,
    )

    def sample():
        drawn = buffer.sample(work.batch_size, beta=0.4)
        return drawn["reward"].ravel(), drawn["indexes"]

    return python_loop.make_loops(
        work, lambda: buffer.add(**work.rows), sample, buffer.update_priorities, np.asarray
    )
