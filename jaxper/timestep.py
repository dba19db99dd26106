"""What a stream stores and what its draws return."""

from typing import Any, NamedTuple

from jax import Array


class TimeStep(NamedTuple):
    """One step: the observation acted on, the action, and what the action led to.

    `terminated` must mean that a reset follows. A step whose two flags are both set terminated.
    `extras` are whatever else belongs to the step, such as the recurrent state before it or the
    log-probability of its action.
    """

    observation: Any  # a pytree
    action: Any  # a pytree
    reward: Any  # an array of any real dtype, may have axes of its own
    terminated: Any  # bool
    truncated: Any  # bool
    extras: Any = ()  # a pytree: recurrent state, log-probabilities, anything


class Transition(NamedTuple):
    """An n-step transition, leaves [batch_size, ...].

    A target is `reward + discount * value(next_observation)`, whatever ended and where. The action
    and the extras are those of the first step.
    """

    observation: Any  # frames stacked where the view stacks
    action: Any
    reward: Array  # float32 [batch_size, ...], the discounted sum
    discount: Array  # float32 [batch_size], of what follows; 0 where the episode terminated
    next_observation: Any  # meaningless where discount is 0
    extras: Any  # of the first step


class Sequence(NamedTuple):
    """Consecutive steps of one environment."""

    steps: TimeStep  # leaves [batch_size, length, ...]
    mask: Array  # bool [batch_size, length], the steps that count
    first: Array  # bool [batch_size, length], where an episode begins: reset recurrent state there
