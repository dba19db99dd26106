"""A double DQN learner, which the examples share."""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

import jaxper

# Updates between two copies to the target network.
TARGET_PERIOD = 250


class Network(nn.Module):
    """A network from one observation to the Q-values of all actions."""

    actions: int
    widths: tuple[int, ...] = (64, 64)

    @nn.compact
    def __call__(self, observation: Array) -> Array:
        hidden = observation.reshape(-1).astype(jnp.float32)
        for width in self.widths:
            hidden = nn.relu(nn.Dense(width)(hidden))
        return nn.Dense(self.actions)(hidden)


class Learner(NamedTuple):
    """The parameters, and all else that an update changes."""

    params: Any
    target_params: Any
    optimizer: optax.OptState
    updates: Array  # int32


def init(
    network: nn.Module, optimizer: optax.GradientTransformation, key: Array, observation: Array
) -> Learner:
    """Returns a learner with fresh parameters."""
    params = network.init(key, observation)
    # These are copies, since a donated state must not hold a buffer twice.
    target_params = jax.tree.map(jnp.copy, params)
    return Learner(params, target_params, optimizer.init(params), jnp.int32(0))


def apply_network(network: nn.Module, params: Any, observation: Array) -> Array:
    """Returns the Q-values of all actions, float32 [actions], for one observation."""
    values: Any = network.apply(params, observation)
    return values


def act(network: nn.Module, params: Any, key: Array, observations: Array, epsilon: Any) -> Array:
    """Returns epsilon-greedy actions, int32 [B], for observations [B, ...]."""
    return explore(key, jax.vmap(partial(apply_network, network, params))(observations), epsilon)


def explore(key: Array, q: Array, epsilon: Any) -> Array:
    """Returns epsilon-greedy actions, int32 [B], for Q-values [B, actions]."""
    explore_key, action_key = jax.random.split(key)
    random_actions = jax.random.randint(action_key, q.shape[:1], 0, q.shape[1])
    exploring = jax.random.uniform(explore_key, q.shape[:1]) < epsilon
    return jnp.where(exploring, random_actions, jnp.argmax(q, axis=1))


def td_error(network: nn.Module, params: Any, target_params: Any, step: jaxper.Transition) -> Array:
    """The double Q-learning error of one transition (van Hasselt et al. 2016)."""
    action = jnp.argmax(apply_network(network, params, step.next_observation))
    value = select_q(apply_network(network, target_params, step.next_observation), action)
    target = jax.lax.stop_gradient(step.reward + step.discount * value)
    return target - select_q(apply_network(network, params, step.observation), step.action)


def select_q(q: Array, action: Array) -> Array:
    """Returns the Q-value of one action.

    The gradient of this needs no scatter, while that of `q[action]` does.
    """
    return jnp.sum(q * jax.nn.one_hot(action, q.shape[0]))


def learn(
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    learner: Learner,
    steps: jaxper.Transition,
    weights: Array,
    axis_name: str | None = None,
) -> tuple[Learner, Array, Array]:
    """Updates the learner with the weighted Huber loss.

    With `axis_name`, the gradient and the loss are means over the shards.

    Returns:
      The learner, the loss, and the TD error of each row.
    """

    def loss(params: Any) -> tuple[Array, Array]:
        one = partial(td_error, network, params, learner.target_params)
        errors = jax.vmap(one)(steps)
        huber: Any = optax.huber_loss(errors)
        return jnp.mean(weights * huber), errors

    (value, errors), gradients = jax.value_and_grad(loss, has_aux=True)(learner.params)
    if axis_name is not None:
        value, gradients = average_over_shards((value, gradients), axis_name)
    return apply_gradients(optimizer, learner, gradients), value, errors


def average_over_shards(tree: Any, axis_name: str) -> Any:
    """Averages over the shards, with the same bits for any number of processes.

    `jax.lax.pmean` would move less data. But it adds up in an order that depends on the processes,
    and learning magnifies the difference in rounding.
    """
    return jax.tree.map(lambda array: jax.lax.all_gather(array, axis_name).mean(axis=0), tree)


def apply_gradients(
    optimizer: optax.GradientTransformation, learner: Learner, gradients: Any
) -> Learner:
    """Returns the learner after one step of the optimizer."""
    change, optimizer_state = optimizer.update(gradients, learner.optimizer, learner.params)
    params: Any = optax.apply_updates(learner.params, change)
    updates = learner.updates + 1
    target_params = optax.periodic_update(params, learner.target_params, updates, TARGET_PERIOD)
    return Learner(params, target_params, optimizer_state, updates)
