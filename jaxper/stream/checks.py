"""Checks of the ring, the time steps and the stacks of frames that users ask for or pass."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxper.checks import items, require
from jaxper.stream.timestep import TimeStep


def check_is_step(step: Any, arrays: str = "") -> None:
    """Refuses anything but a `TimeStep`; `arrays` says in the error of which arrays to make it."""
    if not isinstance(step, TimeStep):
        raise ValueError(
            f"a stream stores steps, got {type(step).__name__}; write jaxper.TimeStep("
            f"observation, action, reward, terminated, truncated){arrays}"
        )


def check_ring(view: Any, capacity: int, needed: int, name: str) -> None:
    """Checks that a capacity is of whole ring rows, and of enough of them.

    Args:
      view: the view of a stream, with `num_envs` slots in a ring row.
      capacity: the number of slots.
      needed: the smallest number of ring rows.
      name: the word for `needed` in errors.
    """
    rows, rest = divmod(capacity, view.num_envs)
    if rest:
        raise ValueError(
            f"capacity must be a multiple of num_envs = {view.num_envs}, got {capacity}; "
            f"write {max(rows, needed) * view.num_envs}"
        )
    if rows < needed:
        raise ValueError(
            f"capacity // num_envs must be at least {name} = {needed}, "
            f"got {capacity} // {view.num_envs} = {rows}; write at least {needed * view.num_envs}"
        )


def check_time_step(item: Any) -> TimeStep:
    """Checks one step of one environment, and returns the shape and dtype of each of its arrays.

    Raises:
      ValueError: it is no `TimeStep`, a flag is not one bool, the reward is not one real array, or
        something in it cannot be stored.
    """
    check_is_step(item)
    spec = items.item_spec(item)
    for name in ("terminated", "truncated"):
        flag = getattr(spec, name)
        if not _is_array(flag) or flag.shape != () or flag.dtype != jnp.bool_:
            raise ValueError(
                f"{name} must be one bool, shape (), got {flag}; write jnp.bool_(False), or pick "
                f"one step out of many with jax.tree.map(lambda leaf: leaf[0, 0], steps)"
            )
    reward = spec.reward
    if not _is_array(reward) or not require.is_real(reward.dtype):
        raise ValueError(
            f"reward must be one array of a real dtype, got {reward}; write jnp.float32(0)"
        )
    return spec


def check_stack(stack: Any, observation: Any, leading: tuple[int, ...], axis: int) -> None:
    """Checks that `stack` holds frames like `observation`.

    Args:
      stack: a pytree of arrays [*leading, ...] with an axis of frames.
      observation: the same pytree without the axis of frames.
      leading: the axes before those of one observation.
      axis: the place of the axis of frames within one observation.

    Raises:
      ValueError: the structures, shapes or dtypes do not fit, or the stack has no frame.
    """
    items.check_structure("observation", observation, "of stack", stack)
    olds = jax.tree_util.tree_leaves_with_path(items.item_spec(stack, "stack"))
    news = jax.tree.leaves(items.item_spec(observation, "observation"))
    for (path, old), new in zip(olds, news, strict=True):
        label = jax.tree_util.keystr(path)
        if new.shape[: len(leading)] != leading:
            raise ValueError(
                f"observation{label} must begin with the axes of first, {leading}, got {new.shape}"
            )
        check_stack_axis(axis, new.ndim - len(leading), label)
        at = axis + len(leading) if axis >= 0 else axis + old.ndim
        if 0 in old.shape[at : at + 1]:
            raise ValueError(f"stack{label} must hold at least one frame, got shape {old.shape}")
        without = old.shape[:at] + old.shape[at + 1 :]
        if without != new.shape or old.ndim != new.ndim + 1:
            raise ValueError(
                f"stack{label} must have the shape of the observation, {new.shape}, and one axis "
                f"more for the frames, at stack_axis={axis} of each observation, got {old.shape}"
            )
        items.check_dtype(f"observation{label}", new, old, "as in the stack")


def check_stack_axis(axis: int, ndim: int, label: str) -> None:
    """Checks that an observation of `ndim` axes can get a new axis at `axis`.

    Args:
      axis: the place of the new axis; a negative one counts from the end.
      ndim: the number of axes of one observation.
      label: the path of the array in the observation, for the error.
    """
    if not -ndim - 1 <= axis <= ndim:
        raise ValueError(
            f"stack_axis must be from {-ndim - 1} to {ndim} for observation{label}, "
            f"which has {ndim} axes, got {axis}"
        )


def _is_array(array: Any) -> bool:
    return hasattr(array, "dtype")
