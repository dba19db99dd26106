"""Stacks built while acting equal those that are drawn."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import TimeStep, Transitions, UniformReplay, stack_frames


@pytest.mark.parametrize("padding", ["repeat", "zeros"])
@pytest.mark.parametrize("axis", [0, -1])
def test_stacks_while_acting_are_those_that_are_drawn(padding, axis):
    count, steps, envs = 3, 20, 2
    random = np.random.default_rng(0)
    frames = random.integers(1, 255, (steps, envs, 4, 2)).astype(np.uint8)
    ends = random.random((steps, envs)) < 0.25
    first = np.concatenate([np.ones((1, envs), bool), ends[:-1]])
    shape = (envs, count, 4, 2) if axis == 0 else (envs, 4, 2, count)
    stack, acting = {"frame": jnp.zeros(shape, jnp.uint8)}, []
    for t in range(steps):
        newest = {"frame": frames[t]}
        stack = stack_frames(stack, newest, first[t], stack_axis=axis, padding=padding)
        acting.append(np.asarray(stack["frame"]))

    view = Transitions(envs, 1, frame_stack=count, stack_axis=axis, padding=padding)
    replay = UniformReplay(steps * envs, view=view)
    zeros = np.zeros((steps, envs), np.float32)
    batch = TimeStep({"frame": frames}, zeros, zeros, ends, np.zeros_like(ends))
    state = replay.add(replay.init(jax.tree.map(lambda array: array[0, 0], batch)), batch)
    drawn = replay.get(state, jnp.arange((steps - 1) * envs)).observation["frame"]
    np.testing.assert_array_equal(drawn, np.concatenate(acting[:-1]))


@pytest.mark.parametrize("padding", ["repeat", "zeros"])
@pytest.mark.parametrize("dtype", [jnp.bool_, jnp.uint8, jnp.bfloat16])
def test_dtypes_are_kept(padding, dtype):
    replay = UniformReplay(8, view=Transitions(1, frame_stack=3, padding=padding))
    zeros, never = jnp.zeros((4, 1)), jnp.zeros((4, 1), bool)
    steps = TimeStep(jnp.ones((4, 1, 2), dtype), zeros, zeros, never, never)
    state = replay.add(replay.init(jax.tree.map(lambda array: array[0, 0], steps)), steps)
    assert replay.get(state, jnp.arange(3)).observation.dtype == dtype
    stack = stack_frames(jnp.zeros((3, 2), dtype), jnp.ones(2, dtype), True, padding=padding)
    assert stack.dtype == dtype


def test_one_environment_or_many():
    stack = jnp.arange(6.0).reshape(3, 2)
    new = jnp.array([7.0, 8.0])
    np.testing.assert_array_equal(stack_frames(stack, new, False), [[2, 3], [4, 5], [7, 8]])
    np.testing.assert_array_equal(stack_frames(stack, new, True), [new] * 3)
    both = stack_frames(jnp.stack([stack] * 2), jnp.stack([new] * 2), jnp.array([False, True]))
    np.testing.assert_array_equal(both[0], [[2, 3], [4, 5], [7, 8]])
    np.testing.assert_array_equal(both[1], [new] * 3)
    mapped = jax.vmap(stack_frames)(jnp.stack([stack] * 2), jnp.stack([new] * 2), jnp.ones(2, bool))
    np.testing.assert_array_equal(mapped, [[new] * 3] * 2)


@pytest.mark.parametrize(
    ("arguments", "choices", "message"),
    [
        ((jnp.zeros((3, 2)), jnp.zeros(3), True), {}, r"stack must have the shape of the obs"),
        ((jnp.zeros((3, 2)), jnp.zeros(2), True), {"stack_axis": 2}, "stack_axis must be from -2"),
        ((jnp.zeros((3, 2)), jnp.zeros(2), True), {"stack_axis": 0.0}, "stack_axis must be an int"),
        ((jnp.zeros((0, 2)), jnp.zeros(2), True), {}, "must hold at least one frame"),
        ((jnp.zeros((3, 2)), jnp.zeros(2), 1), {}, r"first must be bool, got int32"),
        ((jnp.zeros((3, 2)), jnp.zeros(2, jnp.uint8), True), {}, "must have dtype float32, as in"),
        ((jnp.zeros((3, 2)), {"a": jnp.zeros(2)}, True), {}, "structure of stack"),
        ((jnp.zeros((3, 2)), jnp.zeros(2), True), {"padding": "edge"}, "padding must be one of"),
        ((jnp.zeros((3, 2)), jnp.zeros(2), jnp.ones(5, bool)), {}, "axes of first"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, choices, message):
    with pytest.raises(ValueError, match=message):
        stack_frames(*arguments, **choices)
