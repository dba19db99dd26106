"""jaxper with its defaults: stratified draws, importance weights, and stale ids recognised."""

import jax
import jax.numpy as jnp
import numpy as np

import jaxper
from benchmarks.harness import compiled_loop
from benchmarks.harness.work import Contender, Loop, Work


def list_contenders() -> list[Contender]:
    """Returns the prioritized replay."""
    return [Contender("jaxper", jaxper.__version__, _make_loops)]


def _make_loops(work: Work) -> dict[str, Loop]:
    replay = jaxper.PrioritizedReplay(work.capacity)

    def sample(state, key):
        sample = replay.sample(state, key, work.batch_size, beta=0.4)
        return sample.items, sample.ids, (sample.probabilities, sample.weights)

    state = fill_replay(replay, work)
    return compiled_loop.make_work_loops(work, state, replay.add, sample, replay.update_priorities)


def fill_replay(replay: jaxper.PrioritizedReplay, work: Work) -> jaxper.PrioritizedState:
    """Returns the state of a full replay with the first priorities of the work."""
    count = min(work.capacity, 2**12)
    rows = jax.tree.map(
        lambda array: jnp.asarray(np.resize(array, (count, *array.shape[1:]))), work.rows
    )

    @jax.jit
    def fill(rows, priorities):
        state = replay.init(jax.tree.map(lambda array: array[0], rows))
        adds = -(-work.capacity // count)
        state = jax.lax.fori_loop(0, adds, lambda _, state: replay.add(state, rows), state)
        ids = jnp.arange(work.capacity, dtype=jnp.uint32) + state.next_id - work.capacity
        return replay.update_priorities(state, ids, priorities)

    return fill(rows, work.first_priorities)
