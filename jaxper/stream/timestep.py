"""Steps, the items of a stream, and the transitions and sequences that are drawn from them."""

from typing import Any, NamedTuple

from jax import Array


class TimeStep(NamedTuple):
    """One step: the observation acted on, the action, and the reward and end that followed it.

    Set `terminated` or `truncated` only if a reset follows this step. A step with both flags set
    counts as terminated. `extras` hold anything else that belongs to the step, such as the
    recurrent state before it or the log-probability of its action. `init` takes one step of one
    environment, without the axes T (of steps) and num_envs.
    """

    observation: Any  # a pytree, arrays [T, num_envs, ...]
    action: Any  # a pytree, arrays [T, num_envs, ...]
    reward: Any  # any real dtype [T, num_envs, ...]
    terminated: Any  # bool [T, num_envs]
    truncated: Any  # bool [T, num_envs]
    extras: Any = ()  # a pytree, arrays [T, num_envs, ...]


class Transition(NamedTuple):
    """An n-step transition, arrays [batch_size, ...].

    A target is `reward + discount * value(next_observation)`, however the episode went on. The
    action and the extras are those of the first step.
    """

    observation: Any  # a pytree; with stacked frames if the view stacks
    action: Any  # a pytree
    reward: Array  # float32 [batch_size, ...], the discounted sum
    discount: Array  # float32 [batch_size], for the value of next_observation; 0 at a terminal
    next_observation: Any  # like observation; meaningless if discount is 0
    extras: Any  # a pytree


class Sequence(NamedTuple):
    """Consecutive steps of one environment for each draw, as many as the view's `length`."""

    steps: TimeStep  # arrays [batch_size, length, ...]
    mask: Array  # bool [batch_size, length], the steps that count
    first: Array  # bool [batch_size, length], True if an episode begins: reset recurrent state
