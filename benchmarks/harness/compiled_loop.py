"""Loops over pure functions, each compiled into one program, as a training loop would be."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness.work import VARIANTS, Loop, Work


def make_loops(
    work: Work,
    state: Any,
    add: Callable[[Any, Any], Any],
    sample: Callable[[Any, Any], tuple[Any, Any, Any]],
    update: Callable[[Any, Any, Any], Any],
) -> dict[str, Loop]:
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
        return update(state, drawn[1], errors(drawn, drawn[1].shape)), drawn

    bodies = {
        "add": lambda state, drawn, i: (add(state, rows), drawn),
        "sample": lambda state, drawn, i: (state, sample(state, keys[i])),
        "update": lambda state, drawn, i: (update(state, ids[i], priorities[i]), drawn),
        "step": lambda state, drawn, i: step(state, i),
    }
    return {name: compile_loop(held, body, work.inner_turns) for name, body in bodies.items()}


def errors(drawn: Any, shape: tuple[int, ...]) -> Any:
    """Errors of a batch that depend on all that was drawn: so XLA reads before it writes, in place.

    Args:
      drawn: leaves [shape, ...].
      shape: of the batch.
    """
    sums = [
        jnp.sum(leaf.reshape(*shape, -1).astype(jnp.float32), axis=-1)
        for leaf in jax.tree.leaves(drawn)
    ]
    return jnp.abs(sum(sums))


def compile_loop(
    held: list[Any], body: Callable[[Any, Any, Any], tuple[Any, Any]], inner_turns: int
) -> Loop:
    """What runs `body` on what is held, `inner_turns` times for each run asked for.

    These are a loop whose length XLA knows. After each turn of any other a GPU tells the host
    whether it goes on, and waits, which takes longer than a draw.

    Args:
      held: a state and a batch. The batch is carried, so it is built.
      body: state, batch and the number of the variant to state and batch.
      inner_turns: how many.
    """

    def some(i: Any, held: Any) -> Any:
        return jax.lax.fori_loop(
            0, inner_turns, lambda j, held: body(*held, (i * inner_turns + j) % VARIANTS), held
        )

    def looped(count: Any, state: Any, drawn: Any) -> tuple[Any, Any]:
        return jax.lax.fori_loop(0, count, some, (state, drawn))

    program = jax.jit(looped, donate_argnums=(1, 2))

    def run(count: int) -> None:
        held[:] = jax.block_until_ready(program(np.int32(count), *held))

    return run
