"""Stacks of frames: the last few observations of one episode as one input."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require
from jaxper.lowering.bits import unwrap_short_floats, wrap_short_floats
from jaxper.stream import checks, stream
from jaxper.stream.stream import Stream

# Fills in for frames from before the episode: its first frame, or zeros.
Padding = Literal["repeat", "zeros"]


def read_stacks(
    storage: Stream, slots: Array, since_first: Array, count: int, axis: int, padding: Padding
) -> Any:
    """Reads the stacks of `count` frames that end in `slots`: arrays [B, ...] with a new axis.

    Args:
      storage: the stream.
      slots: int32 or uint32 [B].
      since_first: int32 [B], rows since the first of the episode; any number from `count` on means
        that it lies before the stack.
      count: frames in a stack; 1 adds no axis.
      axis: where the axis of frames goes in each observation.
      padding: fills in for frames from before the episode.
    """
    if count == 1:
        return stream.read(storage, slots, "observation").observation
    back = jnp.arange(count - 1, -1, -1, dtype=jnp.int32)[None]
    within = jnp.minimum(back, since_first[:, None])
    at = stream.slots_ahead(storage, slots[:, None], -within)
    frames = stream.read(storage, at, "observation").observation
    if padding == "zeros":
        before = back > since_first[:, None]
        wrapped = jax.tree.map(
            lambda frame: jnp.where(align_axes(before, frame), jnp.zeros_like(frame), frame),
            wrap_short_floats(frames),
        )
        frames = unwrap_short_floats(wrapped)
    return jax.tree.map(lambda frame: jnp.moveaxis(frame, 1, _axis(axis, frame.ndim, 1)), frames)


def stack_frames(
    stack: Any,
    observation: Any,
    first: ArrayLike,
    *,
    stack_axis: int = 0,
    padding: Padding = "repeat",
) -> Any:
    """Pushes the next observation onto a stack of frames, for an agent that acts.

    The stacks equal those that `Transitions(frame_stack=k)` draws.

    Args:
      stack: a pytree with arrays [..., k, ...], the axis of k at `stack_axis` of an observation.
      observation: the newest, arrays like those of `stack` without that axis.
      first: bool, whether it begins an episode; with leading axes, such as [num_envs], that all
        arrays of `stack` and `observation` then have too.
      stack_axis: counted within one observation, without the leading axes.
      padding: fills in for frames from before the episode: `"repeat"` its first, or `"zeros"`.

    Returns:
      The new stack, oldest frame first.

    Raises:
      ValueError: shapes or dtypes do not fit, or the padding is unknown.

    >>> stack = stack_frames(jnp.zeros((3, 2)), jnp.ones(2), True)
    >>> stack_frames(stack, jnp.full(2, 5.0), False)[:, 0].tolist()
    [1.0, 1.0, 5.0]
    """
    require.choice("padding", padding, Padding)
    stack_axis = require.integer("stack_axis", stack_axis)
    first = require.boolean("first", first)
    checks.check_stack(stack, observation, first.shape, stack_axis)

    def push(old: Array, new: Array) -> Array:
        axis = _axis(stack_axis, old.ndim, first.ndim)
        new = jnp.expand_dims(new, axis)
        kept = jax.lax.slice_in_dim(old, 1, None, axis=axis)
        fresh = jnp.broadcast_to(new, kept.shape) if padding == "repeat" else jnp.zeros_like(kept)
        kept = jnp.where(align_axes(first, old), fresh, kept)
        return jnp.concatenate([kept, new], axis)

    return jax.tree.map(push, *jax.tree.map(jnp.asarray, (stack, observation)))


def _axis(axis: int, ndim: int, leading: int) -> int:
    """Returns the place of an observation's axis among `ndim` axes, `leading` of them before it."""
    return axis + leading if axis >= 0 else axis + ndim


def align_axes(values: Array, array: Array) -> Array:
    """Adds axes of length 1 at the end of `values`, so that it broadcasts against `array`."""
    return values.reshape(values.shape + (1,) * (array.ndim - values.ndim))
