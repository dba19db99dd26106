"""What a stream stores and what its draws return."""

from typing import Any, NamedTuple

from jax import Array


class TimeStep(NamedTuple):
    """One step: the observation acted on, the action, and what the action led to.

    `terminated` must mean that a reset follows. A step whose two flags are both set terminated.
    `extras` are whatever else belongs to the step, such as the recurrent state before it or the
    log-probability of its action. `init` takes one step of one environment, without the axes T (of
    steps) and num_envs.
    """

    observation: Any  # a pytree, leaves [T, num_envs, ...]
    action: Any  # a pytree, leaves [T, num_envs, ...]
    reward: Any  # any real dtype [T, num_envs, ...]
    terminated: Any  # bool [T, num_envs]
    truncated: Any  # bool [T, num_envs]
    extras: Any = ()  # a pytree, leaves [T, num_envs, ...]


class Transition(NamedTuple):
    """An n-step transition, leaves [batch_size, ...].

    A target is `reward + discount * value(next_observation)`, whatever ended and where. The action
    and the extras are those of the first step.
    """

    observation: Any  # a pytree; its frames stacked where the view stacks
    action: Any  # a pytree
    reward: Array  # float32 [batch_size, ...], the discounted sum
    discount: Array  # float32 [batch_size], of what follows; 0 where the episode terminated
    next_observation: Any  # like observation; meaningless where discount is 0
    extras: Any  # a pytree


class Sequence(NamedTuple):
    """Consecutive steps of one environment, `length` of the view, for each draw."""

    steps: TimeStep  # leaves [batch_size, length, ...]
    mask: Array  # bool [batch_size, length], the steps that count
    first: Array  # bool [batch_size, length], where an episode begins: reset recurrent state there
