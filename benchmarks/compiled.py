"""Loops over pure functions, each compiled into one program, as a training loop would be."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.work import VARIANTS, Run, Work


def runs(
    work: Work,
    state: Any,
    add: Callable[[Any, Any], Any],
    sample: Callable[[Any, Any], tuple[Any, Any, Any]],
    update: Callable[[Any, Any, Any], Any],
) -> dict[str, Run]:
    """What runs each operation of a JAX replay.

    Args:
      work: sizes and batches.
      state: a full replay; each run goes on from where the last one left it.
      add: state and rows to the state.
      sample: state and key to the items, their ids, and whatever else a draw gives.
      update: state, ids and priorities to the state.
    """
    held = [state, jax.eval_shape(sample, state, jax.random.key(0))]
    held[1] = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), held[1])
    rows = jax.tree.map(jnp.asarray, work.rows)
    keys = jax.random.split(jax.random.key(1), VARIANTS)
    ids, priorities = jnp.asarray(work.ids), jnp.asarray(work.priorities)

    def step(state: Any, i: Any) -> tuple[Any, Any]:
        state = add(state, rows)
        drawn = sample(state, keys[i])
        # An error that depends on all that was drawn: so XLA reads before it writes, in place.
        errors = sum(
            jnp.sum(leaf.reshape(*drawn[1].shape, -1).astype(jnp.float32), axis=-1)
            for leaf in jax.tree.leaves(drawn)
        )
        return update(state, drawn[1], jnp.abs(errors)), drawn

    bodies = {
        "add": lambda state, drawn, i: (add(state, rows), drawn),
        "sample": lambda state, drawn, i: (state, sample(state, keys[i])),
        "update": lambda state, drawn, i: (update(state, ids[i], priorities[i]), drawn),
        "step": lambda state, drawn, i: step(state, i),
    }
    return {name: _loop(held, body) for name, body in bodies.items()}


def _loop(held: list[Any], body: Callable[[Any, Any, Any], tuple[Any, Any]]) -> Run:
    """What runs `body` so many times on what is held. The batch is carried, so it is built."""

    def looped(count: Any, state: Any, drawn: Any) -> tuple[Any, Any]:
        return jax.lax.fori_loop(
            0, count, lambda i, held: body(*held, i % VARIANTS), (state, drawn)
        )

    program = jax.jit(looped, donate_argnums=(1, 2))

    def run(count: int) -> None:
        held[:] = jax.block_until_ready(program(np.int32(count), *held))

    return run
