"""The Blind Cliffwalk: its transitions, its true values and Q-learning on them.

It has n states in a row. In each state one of two actions is right: the first one in even states,
the second one in odd states. The right action leads to the next state, and in the last state to a
reward of 1. The other action ends the episode without a reward.

Source: Schaul et al. 2016, arXiv 1511.05952, section 3.1 and appendix B.1.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

import jaxper

ACTIONS = 2
STEP_SIZE = 0.25


def make_transitions(states: int) -> jaxper.Transition:
    """Returns all different transitions, arrays [2 * states], with the right action first."""
    state = np.repeat(np.arange(states), ACTIONS)
    right = np.tile([True, False], states)
    last = state == states - 1
    return jaxper.Transition(
        observation=jnp.asarray(state, jnp.int32),
        action=jnp.asarray(np.where(right, state % 2, 1 - state % 2), jnp.int32),
        reward=jnp.asarray(right & last, jnp.float32),
        discount=jnp.asarray(np.where(right & ~last, 1 - 1 / states, 0), jnp.float32),
        next_observation=jnp.asarray(np.minimum(state + 1, states - 1), jnp.int32),
        extras=(),
    )


def make_memory(states: int, key: Array) -> jaxper.Transition:
    """Returns the transitions of every sequence of actions, arrays [2^(states + 1) - 2].

    There are 2^(n - s) sequences that reach state s, and half of them takes either action there.
    The transitions are in random order.
    """
    occurrences = np.repeat(2 ** np.arange(states)[::-1], ACTIONS)
    rows = jnp.asarray(np.repeat(np.arange(ACTIONS * states), occurrences))
    rows = jax.random.permutation(key, rows)
    return jax.tree.map(lambda array: array[rows], make_transitions(states))


def true_values(states: int) -> np.ndarray:
    """The true Q, float32 [states, 2]: discount^(steps to the last state) for the right action."""
    values = np.zeros((states, ACTIONS), np.float32)
    state = np.arange(states)
    values[state, state % 2] = (1 - 1 / states) ** (states - 1 - state)
    return values


def init_weights(states: int, key: Array) -> Array:
    """Returns normal weights with deviation 0.1, float32 [n + 1, 2], those of the bias last."""
    return 0.1 * jax.random.normal(key, (states + 1, ACTIONS))


def q_values(weights: Array, bias: Array) -> Array:
    """Q, float32 [states, 2], which is linear in the features of a state.

        Q(s, a) = weights[s, a] + bias weights[-1, a]

    The features are one for each state, and a bias that all states share. With a bias of 0 this is
    a table; the linear features of the paper have a bias of 1. Each action has its own weights.
    """
    return weights[:-1] + bias * weights[-1]


def mean_squared_error(weights: Array, bias: Array) -> Array:
    """The mean squared difference of Q and the true values, float32 []."""
    return jnp.mean((q_values(weights, bias) - true_values(len(weights) - 1)) ** 2)


def learn(weights: Array, bias: Array, step: jaxper.Transition) -> tuple[Array, Array]:
    """Updates the weights by Q-learning with one transition, and returns its TD error too.

    error = reward + discount max_a Q(next, a) - Q(state, action)
    """
    q = q_values(weights, bias)
    target = step.reward + step.discount * jnp.max(q[step.next_observation])
    error = target - q[step.observation, step.action]
    weights = weights.at[step.observation, step.action].add(STEP_SIZE * error)
    return weights.at[-1, step.action].add(STEP_SIZE * error * bias), error
