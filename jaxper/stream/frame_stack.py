"""Stacks of frames: the last few observations of one episode as one input."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from jaxper.checks import require
from jaxper.lowering import bits as _bits
from jaxper.stream import checks, stream
from jaxper.stream.stream import Stream

Padding = Literal["repeat", "zeros"]


def read(stored: Stream, slots: Array, since_first: Array, count: int, axis: int, pad: str) -> Any:
    """The stacks of `count` frames that end in `slots`, leaves [B, ...] with a new axis.

    Args:
      stored: the stream.
      slots: int32 or uint32 [B].
      since_first: int32 [B], rows since the episode's first; where more than count - 1, any such.
      count: frames in a stack; 1 adds no axis.
      axis: where the axis of frames goes in each observation.
      pad: what stands for frames from before the episode.
    """
    if count == 1:
        return stream.read(stored, slots, "observation").observation
    back = jnp.arange(count - 1, -1, -1, dtype=jnp.int32)[None]
    held = jnp.minimum(back, since_first[:, None])
    at = stream.later(stored, slots[:, None], -held)
    frames = stream.read(stored, at, "observation").observation
    if pad == "zeros":
        before = back > since_first[:, None]
        bits = jax.tree.map(
            lambda leaf: jnp.where(expanded(before, leaf), jnp.zeros_like(leaf), leaf),
            _bits.stored(frames),
        )
        frames = _bits.given(bits)
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 1, _axis(axis, leaf.ndim, 1)), frames)


def stack_frames(
    stack: Any,
    observation: Any,
    first: ArrayLike,
    *,
    stack_axis: int = 0,
    padding: Padding = "repeat",
) -> Any:
    """The stack with the next observation: what an agent sees while it acts.

    Stacks that were built so equal those that `Transitions(frame_stack=k)` draws.

    Args:
      stack: a pytree with leaves [..., k, ...], the axis of k at `stack_axis` of an observation.
      observation: the newest, leaves like those of `stack` without that axis.
      first: bool, whether it begins an episode; with leading axes, such as [num_envs], that all
        leaves of `stack` and `observation` then have too.
      stack_axis: counted within one observation, without the leading axes.
      padding: what stands for frames from before the episode: `"repeat"` its first, or `"zeros"`.

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
        kept = jnp.where(expanded(first, old), fresh, kept)
        return jnp.concatenate([kept, new], axis)

    return jax.tree.map(push, *jax.tree.map(jnp.asarray, (stack, observation)))


def _axis(axis: int, ndim: int, leading: int) -> int:
    """Where an axis of one observation stands among `ndim` axes with `leading` ones before."""
    return axis + leading if axis >= 0 else axis + ndim


def expanded(values: Array, leaf: Array) -> Array:
    """`values` with axes of 1 at their end, to broadcast against `leaf`."""
    return values.reshape(values.shape + (1,) * (leaf.ndim - values.ndim))
