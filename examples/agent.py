"""A double DQN learner: what the examples have in common once a batch is drawn."""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jax import Array

import jaxper

TARGET_PERIOD = 250  # updates between two copies to the target network


class Network(nn.Module):
    """Q-values of all actions for one observation."""

    actions: int
    widths: tuple[int, ...] = (64, 64)

    @nn.compact
    def __call__(self, observation: Array) -> Array:
        hidden = observation.reshape(-1).astype(jnp.float32)
        for width in self.widths:
            hidden = nn.relu(nn.Dense(width)(hidden))
        return nn.Dense(self.actions)(hidden)


class Learner(NamedTuple):
    """What learning changes."""

    params: Any
    target_params: Any
    optimizer: optax.OptState
    updates: Array  # int32


def init(
    network: nn.Module, optimizer: optax.GradientTransformation, key: Array, observation: Array
) -> Learner:
    """A learner with fresh parameters."""
    params = network.init(key, observation)
    target_params = jax.tree.map(jnp.copy, params)  # a donated state must not hold a buffer twice
    return Learner(params, target_params, optimizer.init(params), jnp.int32(0))


def apply_network(network: nn.Module, params: Any, observation: Array) -> Array:
    """Q-values of all actions, float32 [actions], for one observation."""
    values: Any = network.apply(params, observation)
    return values


def act(network: nn.Module, params: Any, key: Array, observations: Array, epsilon: Any) -> Array:
    """Epsilon-greedy actions, int32 [B], for observations [B, ...]."""
    return explore(key, jax.vmap(partial(apply_network, network, params))(observations), epsilon)


def explore(key: Array, q: Array, epsilon: Any) -> Array:
    """Epsilon-greedy actions, int32 [B], for Q-values [B, actions]."""
    greedy_key, action_key = jax.random.split(key)
    random = jax.random.randint(action_key, q.shape[:1], 0, q.shape[1])
    exploring = jax.random.uniform(greedy_key, q.shape[:1]) < epsilon
    return jnp.where(exploring, random, jnp.argmax(q, axis=1))


def td_error(network: nn.Module, params: Any, target_params: Any, step: jaxper.Transition) -> Array:
    """The double-Q error of one transition (van Hasselt et al. 2016)."""
    action = jnp.argmax(apply_network(network, params, step.next_observation))
    value = select_q(apply_network(network, target_params, step.next_observation), action)
    target = jax.lax.stop_gradient(step.reward + step.discount * value)
    return target - select_q(apply_network(network, params, step.observation), step.action)


def select_q(q: Array, action: Array) -> Array:
    """The Q-value of one action; its gradient needs no scatter, as that of `q[action]` would."""
    return jnp.sum(q * jax.nn.one_hot(action, q.shape[0]))


def learn(
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    learner: Learner,
    steps: jaxper.Transition,
    weights: Array,
    axis_name: str | None = None,
) -> tuple[Learner, Array, Array]:
    """One update of the weighted Huber loss: the learner, the loss, and the TD error of each row.

    With `axis_name`, gradient and loss are means over the shards.
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
    """The same bits however the shards are spread over processes.

    `jax.lax.pmean` moves less, but the order in which it adds up differs with the processes, and
    learning magnifies what rounding makes of that.
    """
    return jax.tree.map(lambda leaf: jax.lax.all_gather(leaf, axis_name).mean(axis=0), tree)


def apply_gradients(
    optimizer: optax.GradientTransformation, learner: Learner, gradients: Any
) -> Learner:
    """The learner after one step along the gradients."""
    change, optimizer_state = optimizer.update(gradients, learner.optimizer, learner.params)
    params: Any = optax.apply_updates(learner.params, change)
    updates = learner.updates + 1
    target_params = optax.periodic_update(params, learner.target_params, updates, TARGET_PERIOD)
    return Learner(params, target_params, optimizer_state, updates)
