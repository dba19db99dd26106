"""Loops over pure functions, each compiled into one program, as a training loop would be."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.harness.work import VARIANTS, Loop, Work

Body = Callable[[Any, Any, Any], tuple[Any, Any]]  # state, batch, variant -> state, batch


def make_work_loops(
    work: Work,
    state: Any,
    add: Callable[[Any, Any], Any],
    sample: Callable[[Any, Any], tuple[Any, ...]],
    update: Callable[[Any, Any, Any], Any],
) -> dict[str, Loop]:
    """Returns the loops of all `OPERATIONS` for a JAX replay.

    Args:
      work: the sizes and batches.
      state: the state of a full replay.
      add: takes the state and the rows, and returns the state.
      sample: as in `make_loops`.
      update: as in `make_loops`.
    """
    rows = jax.tree.map(jnp.asarray, work.rows)
    ids, priorities = jnp.asarray(work.ids), jnp.asarray(work.priorities)
    return make_loops(
        state,
        lambda state: add(state, rows),
        sample,
        update,
        lambda state, i: update(state, ids[i], priorities[i]),
        work.inner_turns,
    )


def make_loops(
    state: Any,
    add: Callable[[Any], Any],
    sample: Callable[[Any, Any], Any],
    update: Callable[[Any, Any, Any], Any] | None = None,
    update_variant: Callable[[Any, Any], Any] | None = None,
    inner_turns: int = 1,
) -> dict[str, Loop]:
    """Returns the loops of "add", "sample" and "step" for a JAX replay, and of "update" if asked.

    A step adds, draws, and updates the priorities of the batch if the replay has any. It adds
    first, so nothing is copied.

    Args:
      state: the state of a full replay. All loops share it: each goes on where the last one ended.
      add: takes and returns the state.
      sample: takes the state and a key, and returns a batch. If there is an update, the batch is a
        tuple whose second entry is the ids.
      update: takes the state, ids and priorities, and returns the state.
      update_variant: takes the state and the number of a variant, and returns the state.
      inner_turns: how often an operation runs for each count of its loop.
    """
    keys = jax.random.split(jax.random.key(1), VARIANTS)
    shapes = jax.eval_shape(sample, state, keys[0])
    carry = [state, jax.tree.map(lambda array: jnp.zeros(array.shape, array.dtype), shapes)]

    def step(state: Any, _: Any, i: Any) -> tuple[Any, Any]:
        state = add(state)
        batch = sample(state, keys[i])
        if update:
            state = update(state, batch[1], compute_errors(batch, batch[1].shape))
        return state, batch

    bodies: dict[str, Body] = {
        "add": lambda state, batch, i: (add(state), batch),
        "sample": lambda state, batch, i: (state, sample(state, keys[i])),
        "step": step,
    }
    if update_variant:
        bodies["update"] = lambda state, batch, i: (update_variant(state, i), batch)
    return {name: compile_loop(carry, body, inner_turns) for name, body in bodies.items()}


def compute_errors(batch: Any, shape: tuple[int, ...]) -> Any:
    """Returns a stand-in for the TD error of each row, float32 [*shape].

    It depends on all arrays of the batch. So XLA reads the whole batch before it writes the
    priorities, and can write them in place.

    Args:
      batch: a pytree with arrays [*shape, ...].
      shape: the shape of the ids.
    """
    sums = [
        jnp.sum(array.reshape(*shape, -1).astype(jnp.float32), axis=-1)
        for array in jax.tree.leaves(batch)
    ]
    return jnp.abs(sum(sums))


def fill(init: Callable[[], Any], add: Callable[[Any], Any], adds: int) -> Any:
    """Returns the state after `adds` adds to the initial one."""
    return jax.jit(lambda: jax.lax.fori_loop(0, adds, lambda _, state: add(state), init()))()


def compile_loop(carry: list[Any], body: Body, inner_turns: int = 1) -> Loop:
    """Returns a loop that runs `body` on the carry, `inner_turns` times for each count.

    Args:
      carry: a state and a batch. The loop replaces both in this list. The batch is carried so that
        XLA cannot leave it out.
      body: takes the state, the batch and the number of a variant, and returns state and batch.
      inner_turns: the length of the inner loop, which XLA knows.
    """

    # GPU: after each turn of a loop of unknown length the device tells the host whether to go on,
    # and waits. That takes longer than a draw, so the inner loop has a known length.
    def run_inner(i: Any, carry: Any) -> Any:
        return jax.lax.fori_loop(
            0, inner_turns, lambda j, carry: body(*carry, (i * inner_turns + j) % VARIANTS), carry
        )

    def run_outer(count: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        return jax.lax.fori_loop(0, count, run_inner, (state, batch))

    program = jax.jit(run_outer, donate_argnums=(1, 2))

    def run(count: int) -> None:
        carry[:] = jax.block_until_ready(program(np.int32(count), *carry))

    return run
