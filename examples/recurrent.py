"""A recurrent Q-network, and its TD errors on sequences with burn-in and stored states (R2D2)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

import jaxper

# The first steps of a sequence, which only bring the stored recurrent state up to date.
BURN_IN = 4

DISCOUNT = 0.99


class Network(nn.Module):
    """A network from an observation to the next recurrent state and the Q-values of all actions."""

    actions: int
    width: int = 32

    @nn.compact
    def __call__(self, observation: Array, state: Array | None = None) -> tuple[Array, Array]:
        cell = nn.GRUCell(
            self.width,
            # The gates are open at first, so an untrained network carries a bit for many steps.
            gate_fn=lambda logits: nn.sigmoid(logits + 3.0),
            # CPU: the default of Flax is a QR decomposition, which can hang under `vmap` in
            # jaxlib 0.10.
            recurrent_kernel_init=nn.initializers.lecun_normal(),
        )
        state = jnp.zeros(self.width) if state is None else state
        next_state, hidden = cell(state, observation)
        return next_state, nn.Dense(self.actions)(hidden)


def apply_network(
    network: Network, remembers: Array, params: Any, state: Array, inputs: tuple
) -> Any:
    """Returns the next recurrent state and the Q-values.

    A memoryless agent clears its state before every step. The two agents differ in nothing else.
    """
    observation, first = inputs
    return network.apply(params, observation, jnp.where(first | ~remembers, 0.0, state))


def drop_burn_in(tree: Any) -> Any:
    """Returns the steps after the burn-in."""
    return jax.tree.map(lambda array: array[BURN_IN:], tree)


def unroll(apply: Callable, sequence: jaxper.Sequence) -> Array:
    """Returns the Q-values of the steps after the burn-in, float32 [length - BURN_IN, actions]."""
    inputs = (sequence.steps.observation, sequence.first)
    burn_in = jax.tree.map(lambda array: array[:BURN_IN], inputs)
    state, _ = jax.lax.scan(apply, sequence.steps.extras[0], burn_in)
    return jax.lax.scan(apply, jax.lax.stop_gradient(state), drop_burn_in(inputs))[1]


def td_errors(
    apply: Callable, params: Any, target_params: Any, sequence: jaxper.Sequence
) -> tuple[Array, Array]:
    """The double Q-learning errors of the steps of one sequence after the burn-in.

    Returns:
      The errors, and a mask of those that count.
    """
    q = unroll(partial(apply, params), sequence)
    target_q = unroll(partial(apply, target_params), sequence)
    steps, mask, first = drop_burn_in(sequence)
    row = jnp.arange(len(q))
    following = jnp.roll(target_q[row, jnp.argmax(q, axis=1)], -1)
    has_next = jnp.append(~first[1:], False)
    targets = steps.reward + DISCOUNT * jnp.where(steps.terminated, 0.0, following)
    errors = jax.lax.stop_gradient(targets) - q[row, steps.action]
    return errors, mask & (has_next | steps.terminated)
