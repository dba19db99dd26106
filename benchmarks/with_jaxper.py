"""jaxper at its defaults: stratified draws, importance weights, stale ids told apart."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxper
from benchmarks import compiled
from benchmarks.work import Contender, Run, Work


def contenders() -> list[Contender]:
    """The library itself."""
    return [Contender("jaxper", jaxper.__version__, _make)]


def _make(work: Work) -> dict[str, Run]:
    replay = jaxper.PrioritizedReplay(work.capacity)
    rows = jax.tree.map(jnp.asarray, work.rows)
    add_size = len(rows["reward"])

    def fill(priorities):
        state = replay.init(jax.tree.map(lambda leaf: leaf[0], rows))
        state = jax.lax.fori_loop(
            0, work.capacity // add_size, lambda _, state: replay.add(state, rows), state
        )
        return replay.update_priorities(
            state, np.arange(work.capacity, dtype=np.uint32), priorities
        )

    def sample(state, key):
        drawn = replay.sample(state, key, work.batch_size, beta=0.4)
        return drawn.items, drawn.ids, (drawn.probabilities, drawn.weights)

    return compiled.runs(
        work, jax.jit(fill)(work.filling), replay.add, sample, replay.update_priorities
    )
