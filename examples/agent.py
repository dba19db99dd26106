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


def q_values(network: nn.Module, params: Any, observation: Array) -> Array:
    """Q-values of all actions, float32 [actions], for one observation."""
    values: Any = network.apply(params, observation)
    return values


def act(network: nn.Module, params: Any, key: Array, observations: Array, epsilon: Any) -> Array:
    """Epsilon-greedy actions, int32 [B], for observations [B, ...]."""
    return explore(key, jax.vmap(partial(q_values, network, params))(observations), epsilon)


def explore(key: Array, q: Array, epsilon: Any) -> Array:
    """Epsilon-greedy actions, int32 [B], for Q-values [B, actions]."""
    greedy_key, action_key = jax.random.split(key)
    random = jax.random.randint(action_key, q.shape[:1], 0, q.shape[1])
    explore = jax.random.uniform(greedy_key, q.shape[:1]) < epsilon
    return jnp.where(explore, random, jnp.argmax(q, axis=1))


def td_error(network: nn.Module, params: Any, target_params: Any, step: jaxper.Transition) -> Array:
    """The double-Q error of one transition (van Hasselt et al. 2016)."""
    action = jnp.argmax(q_values(network, params, step.next_observation))
    value = q_values(network, target_params, step.next_observation)[action]
    target = jax.lax.stop_gradient(step.reward + step.discount * value)
    return target - q_values(network, params, step.observation)[step.action]


def learn(
    network: nn.Module,
    optimizer: optax.GradientTransformation,
    learner: Learner,
    steps: jaxper.Transition,
    weights: Array,
) -> tuple[Learner, Array]:
    """One update of the weighted Huber loss, and the TD error of each row."""

    def loss(params: Any) -> tuple[Array, Array]:
        one = partial(td_error, network, params, learner.target_params)
        errors = jax.vmap(one)(steps)
        huber: Any = optax.huber_loss(errors)
        return jnp.mean(weights * huber), errors

    gradients, errors = jax.grad(loss, has_aux=True)(learner.params)
    return step(optimizer, learner, gradients), errors


def step(optimizer: optax.GradientTransformation, learner: Learner, gradients: Any) -> Learner:
    """The learner after one step along the gradients."""
    change, optimizer_state = optimizer.update(gradients, learner.optimizer, learner.params)
    params: Any = optax.apply_updates(learner.params, change)
    updates = learner.updates + 1
    target_params = optax.periodic_update(params, learner.target_params, updates, TARGET_PERIOD)
    return Learner(params, target_params, optimizer_state, updates)
