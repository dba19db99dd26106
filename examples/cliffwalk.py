"""The Blind Cliffwalk: its transitions, its true values and Q-learning on them.

n states in a row. In each state one of two actions is right, alternately the first and the second:
it leads on, and from the last state to a reward of 1. The other one ends the episode with nothing.

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
    """All transitions there are, leaves [2 * states]: state by state, the right action first."""
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
    """What every sequence of actions leads to until it ends, leaves [2^(states + 1) - 2].

    Of the 2^(n - s) sequences that come to state s, one half takes either action there. The
    transitions are in random order.
    """
    occurrences = np.repeat(2 ** np.arange(states)[::-1], ACTIONS)
    rows = jnp.asarray(np.repeat(np.arange(ACTIONS * states), occurrences))
    rows = jax.random.permutation(key, rows)
    return jax.tree.map(lambda leaf: leaf[rows], make_transitions(states))


def true_values(states: int) -> np.ndarray:
    """Q of acting right from then on, float32 [states, 2]: discount^(steps to the last state)."""
    values = np.zeros((states, ACTIONS), np.float32)
    state = np.arange(states)
    values[state, state % 2] = (1 - 1 / states) ** (states - 1 - state)
    return values


def init_weights(states: int, key: Array) -> Array:
    """N(0, 0.1), a deviation of 0.1: one row per state, then the bias's, float32 [n + 1, 2]."""
    return 0.1 * jax.random.normal(key, (states + 1, ACTIONS))


def q_values(weights: Array, bias: Array) -> Array:
    """Q, float32 [states, 2], which is linear in the features of a state: it alone, and a bias.

        Q(s, a) = weights[s, a] + bias weights[-1, a]

    With a bias of 0 this is a table; the paper's linear features have a bias of 1. Each action has
    weights of its own.
    """
    return weights[:-1] + bias * weights[-1]


def mean_squared_error(weights: Array, bias: Array) -> Array:
    """Of Q against the true values, float32 []."""
    return jnp.mean((q_values(weights, bias) - true_values(len(weights) - 1)) ** 2)


def learn(weights: Array, bias: Array, step: jaxper.Transition) -> tuple[Array, Array]:
    """The weights after one update of Q-learning with one transition, and its TD error.

    error = reward + discount max_a Q(next, a) - Q(state, action)
    """
    q = q_values(weights, bias)
    target = step.reward + step.discount * jnp.max(q[step.next_observation])
    error = target - q[step.observation, step.action]
    weights = weights.at[step.observation, step.action].add(STEP_SIZE * error)
    return weights.at[-1, step.action].add(STEP_SIZE * error * bias), error
