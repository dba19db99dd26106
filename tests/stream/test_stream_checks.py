"""What a stream refuses, and that the error says what to write instead."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import Items, PrioritizedReplay, Sequences, TimeStep, Transitions, UniformReplay, cut

FLAG = jax.ShapeDtypeStruct((), jnp.bool_)
STEP = TimeStep({"x": jnp.zeros(3), "y": jnp.uint8(0)}, jnp.int32(0), jnp.float32(0), FLAG, FLAG)
REPLAYS = [
    PrioritizedReplay(12, view=Transitions(3, 2)),
    UniformReplay(12, view=Sequences(3, 2)),
]


def steps(rows, envs):
    one = jax.tree.map(lambda array: jnp.zeros((rows, envs, *array.shape), array.dtype), STEP)
    return one


VIEWS = {
    "num_envs must be from 1": lambda: Transitions(0),
    "num_envs must be an integer": lambda: Transitions(2.0),  # type: ignore
    "n_step must be an integer known when tracing, got True": lambda: Transitions(1, n_step=True),
    "n_step must be from 1": lambda: Transitions(1, n_step=0),
    "frame_stack must be from 1": lambda: Transitions(1, frame_stack=-1),
    "stack_axis must be an integer": lambda: Transitions(1, stack_axis=None),  # type: ignore
    "discount must be from 0 to 1, got 1.5": lambda: Transitions(1, discount=1.5),
    "discount must be from 0 to 1, got nan": lambda: Transitions(1, discount=np.nan),
    "padding must be one of 'repeat', 'zeros', got 'edge'": lambda: Transitions(
        1,
        padding="edge",  # type: ignore
    ),
    "autoreset must be one of 'same_step', 'next_step', got 'disabled'": lambda: Transitions(
        1,
        autoreset="disabled",  # type: ignore
    ),
    "length must be from 1": lambda: Sequences(1, 0),
    "period must be from 1": lambda: Sequences(1, 2, 0),
    "boundaries must be one of 'stop', 'cross', got 'pad'": lambda: Sequences(
        1,
        2,
        boundaries="pad",  # type: ignore
    ),
    "autoreset must be one of 'same_step', 'next_step', got None": lambda: Sequences(
        1,
        2,
        autoreset=None,  # type: ignore
    ),
}


@pytest.mark.parametrize("message", VIEWS)
def test_bad_views(message):
    with pytest.raises(ValueError, match=message):
        VIEWS[message]()


@pytest.mark.parametrize("replay", [PrioritizedReplay, UniformReplay])
def test_rings_that_do_not_fit(replay):
    with pytest.raises(ValueError, match="multiple of num_envs = 3, got 100; write 99"):
        replay(100, view=Transitions(3))
    with pytest.raises(ValueError, match=r"n_step \+ frame_stack = 5, got 12 // 3 = 4; write at l"):
        replay(12, view=Transitions(3, 3, frame_stack=2))
    replay(15, view=Transitions(3, 3, frame_stack=2))
    with pytest.raises(ValueError, match="at least length = 5, got 12 // 3 = 4"):
        replay(12, view=Sequences(3, 5))
    replay(15, view=Sequences(3, 5))


BAD_STEPS = {
    r"observation\['x'\] must have shape \[T, 3, 3\], got \[3, 2, 3\]; rows come first": steps(
        3, 2
    ),
    r"observation\['x'\] must have shape \[T, 3, 3\], got \[3, 3\]; .*leaf\[None\]": jax.tree.map(
        lambda array: array[0], steps(1, 3)
    ),
    r"observation\['x'\] must have shape \[T, 3, 3\], got \[2, 4, 3\]": steps(2, 4),
    r"takes at most capacity = 12 steps, got T \* num_envs = 5 \* 3; .* parts of up to 4": steps(
        5, 3
    ),
    r"terminated must have dtype bool, as given to init, got float32": steps(2, 3)._replace(
        terminated=jnp.zeros((2, 3))
    ),
    r"reward must have shape \[2, 3\], got \[1, 3\]": steps(2, 3)._replace(
        reward=jnp.zeros((1, 3))
    ),
    r"structure given to init.*only one of them has steps.extras": steps(2, 3)._replace(
        extras=jnp.zeros((2, 3))
    ),
    r"a stream stores steps, got tuple; write jaxper.TimeStep": tuple(steps(2, 3)),
    r"observation\['x'\] must .* got \[3\]; for one step .*leaf\[None, None\]": (
        jax.tree.map(lambda array: array[0, 0], steps(1, 1))
    ),
    r"observation\['x'\] must .* got \[6, 3\]; for flattened steps .*reshape\(-1, 3, ": (
        jax.tree.map(lambda array: array.reshape(6, *array.shape[2:]), steps(2, 3))
    ),
}


@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
def test_steps_that_do_not_fit(replay):
    state = replay.init(STEP)
    for message, batch in BAD_STEPS.items():
        with pytest.raises(ValueError, match=message):
            replay.add(state, batch)
        with pytest.raises(ValueError, match=message):
            jax.jit(replay.add)(state, batch)


@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
def test_arguments_of_add(replay):
    state = replay.init(STEP)
    with pytest.raises(ValueError, match="add takes no priorities for a stream"):
        replay.add(state, steps(2, 3), priorities=jnp.ones((2, 3)))
    with pytest.raises(ValueError, match=r"mask must have one entry per row, shape \(2, 3\), got"):
        replay.add(state, steps(2, 3), mask=jnp.ones((3, 2), bool))
    with pytest.raises(ValueError, match="mask must be bool"):
        replay.add(state, steps(2, 3), mask=jnp.ones((2, 3)))


@pytest.mark.parametrize("replay", REPLAYS, ids=repr)
@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"observation": jnp.zeros(3)}, "a stream stores steps, got dict; write jaxper.TimeStep"),
        (STEP._replace(terminated=jnp.float32(0)), "terminated must be one bool"),
        (STEP._replace(truncated=jnp.zeros(3, bool)), "truncated must be one bool.*leaf.0, 0."),
        (STEP._replace(terminated=()), "terminated must be one bool"),
        (STEP._replace(reward=jnp.bool_(0)), "reward must be one array of a real dtype"),
        (STEP._replace(reward={"a": jnp.zeros(())}), "reward must be one array"),
    ],
)
def test_items_that_are_no_steps(replay, step, message):
    with pytest.raises(ValueError, match=message):
        replay.init(step)


def test_a_discount_that_does_not_fit():
    replay = REPLAYS[0]
    with pytest.raises(ValueError, match="discount must be from 0 to 1, got"):
        replay.init(STEP, discount=1.01)
    with pytest.raises(ValueError, match="discount must be one number"):
        replay.init(STEP, discount=jnp.ones(2))
    for other in (REPLAYS[1], UniformReplay(4), PrioritizedReplay(4)):
        with pytest.raises(ValueError, match=r"discount is for view=Transitions\(...\), got 0.5"):
            other.init(STEP, discount=0.5)


def test_an_axis_for_frames_that_does_not_fit():
    replay = UniformReplay(12, view=Transitions(1, frame_stack=2, stack_axis=1))
    with pytest.raises(ValueError, match=r"from -1 to 0 for observation\['y'\], which has 0 axes"):
        replay.init(STEP)


def test_only_streams_are_cut():
    replay = UniformReplay(4, view=Items())
    for state in (replay.init(STEP), None):
        with pytest.raises(ValueError, match="only a stream can be cut"):
            cut(state)


def test_streams_are_cut_one_by_one():
    replay = UniformReplay(4, view=Transitions(1))
    states = jax.vmap(lambda discount: replay.init(STEP, discount=discount))(jnp.ones(3))
    with pytest.raises(ValueError, match=r"leading axes \(3,\); write jax.vmap\(jaxper.cut\)"):
        cut(states)
