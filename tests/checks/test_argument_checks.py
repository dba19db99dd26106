"""Tests of what is refused, and that the error says what to write instead."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import Items, PrioritizedReplay, Sequences, Transitions, UniformReplay, resize
from tests.helpers.training_step import STEP


@dataclasses.dataclass
class Point:
    """One that JAX does not know."""

    x: int


ITEM = {"o": jnp.zeros((2, 3)), "a": jnp.int32(0)}
GOOD = {"o": jnp.zeros((4, 2, 3)), "a": jnp.zeros(4, jnp.int32)}

CONFIGS = {
    "capacity must be from 1 to 2147483647": {"capacity": 0},
    "capacity must be from 1": {"capacity": 2**31},
    "capacity must be an integer": {"capacity": 8.0},
    "alpha must be a finite number and at least 0, got -0.1": {"alpha": -0.1},
    "alpha must be a finite": {"alpha": np.nan},
    "epsilon must be a finite number": {"epsilon": -1e-6},
    "alpha must be a finite number and at least 0, got '0.6'": {"alpha": "0.6"},
    "epsilon must be a finite number and at least 0, got None": {"epsilon": None},
    "view must be a view such as jaxper.Items": {"view": None},
    "strategy must be one of 'stratified', 'iid', got 'uniform'": {"strategy": "uniform"},
    "normalize must be one of 'batch', 'buffer', 'none', got None": {"normalize": None},
}

ITEMS = {
    r"structure given to init, .* only one of them has items\['a'\]": {"o": GOOD["o"]},
    r"items\['o'\] must have shape \[4, 2, 3\], got \[4, 2\]": {**GOOD, "o": jnp.zeros((4, 2))},
    r"items\['o'\] must have shape \[4, 2, 3\], got \[3, 2, 3\]": {
        **GOOD,
        "o": jnp.zeros((3, 2, 3)),
    },
    r"items\['a'\] must have shape \[B\], got \[\]; for one item, or": ITEM,
    r"items\['a'\] must have dtype int32, as given to init, got float32": {
        **GOOD,
        "a": jnp.zeros(4),
    },
    r"at most capacity = 5 items, got 6": jax.tree.map(
        lambda array: jnp.concatenate([array, array[:2]]), GOOD
    ),
}


@pytest.mark.parametrize("message", CONFIGS)
def test_bad_configurations(message):
    with pytest.raises(ValueError, match=message):
        PrioritizedReplay(**{"capacity": 8, **CONFIGS[message]})
    if CONFIGS[message].keys() <= {"capacity", "view"}:
        with pytest.raises(ValueError, match=message):
            UniformReplay(**{"capacity": 8, **CONFIGS[message]})


@pytest.mark.parametrize("replay", [PrioritizedReplay(5), UniformReplay(5)], ids=repr)
@pytest.mark.parametrize("message", ITEMS)
def test_items_that_do_not_fit(message, replay):
    state = replay.init(ITEM)
    with pytest.raises(ValueError, match=message):
        replay.add(state, ITEMS[message])
    with pytest.raises(ValueError, match=message):
        jax.jit(replay.add)(state, ITEMS[message])


@pytest.mark.parametrize("replay", [PrioritizedReplay(5), UniformReplay(5)], ids=repr)
def test_batch_sizes(replay):
    state = replay.init(ITEM)
    for batch_size in (0, -1):
        with pytest.raises(ValueError, match="batch_size must be from 1"):
            replay.sample(state, jax.random.key(0), batch_size)
    with pytest.raises(ValueError, match="batch_size must be an integer known when tracing"):
        jax.jit(replay.sample)(state, jax.random.key(0), 4)


def test_arguments_per_row():
    replay = PrioritizedReplay(5)
    state = replay.init(ITEM)
    with pytest.raises(ValueError, match=r"priorities must have one entry per row, shape \(4,\)"):
        replay.add(state, GOOD, priorities=1.0)
    with pytest.raises(ValueError, match=r"mask must have one entry per row, shape \(4,\)"):
        replay.add(state, GOOD, mask=jnp.ones(3, bool))
    with pytest.raises(ValueError, match=r"mask must be bool, got int32"):
        replay.add(state, GOOD, mask=jnp.ones(4, jnp.int32))
    with pytest.raises(ValueError, match=r"ids must be uint32 or int32"):
        replay.update_priorities(state, jnp.ones(4), jnp.ones(4))
    with pytest.raises(ValueError, match=r"ids must have shape \[B\]"):
        replay.get(state, jnp.int32(1))
    with pytest.raises(ValueError, match=r"priorities must have one entry per row"):
        replay.update_priorities(state, jnp.arange(4), jnp.ones(3))
    with pytest.raises(ValueError, match=r"priorities must be real, got complex64"):
        replay.update_priorities(state, jnp.arange(4), jnp.ones(4, jnp.complex64))
    with pytest.raises(ValueError, match=r"alpha must be a finite number"):
        replay.init(ITEM, alpha=-1.0)
    with pytest.raises(ValueError, match=r"alpha must be one number, shape \(\)"):
        jax.jit(lambda alpha: replay.init(ITEM, alpha=alpha))(jnp.ones(3))
    with pytest.raises(ValueError, match=r"beta must be one number, shape \(\)"):
        replay.sample(state, jax.random.key(0), 2, beta=jnp.ones(2))
    with pytest.raises(ValueError, match=r"beta must be numbers, got None"):
        replay.sample(state, jax.random.key(0), 2, beta=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"priorities must be numbers, got 'x'"):
        replay.add(state, GOOD, priorities="x")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"priority must be one number, shape \(\)"):
        replay.reset_priorities(state, jnp.ones(16))
    with pytest.raises(ValueError, match=r"an item needs at least one array"):
        replay.init({})


KEYS = {
    "got 0; write replay.sample": 0,
    "got None; write": None,
    r"got key<fry>\[2\]": jax.random.split(jax.random.key(0)),
    r"got uint32\[2, 2\]": jax.random.split(jax.random.PRNGKey(0)),
    r"got float32\[2\]": jnp.zeros(2),
}


@pytest.mark.parametrize("replay", [PrioritizedReplay(5), UniformReplay(5)], ids=repr)
def test_what_is_no_key(replay):
    state = replay.add(replay.init(ITEM), GOOD)
    for message, key in KEYS.items():
        with pytest.raises(ValueError, match=f"key must be one random key, {message}"):
            replay.sample(state, key, 2)
    old, new = (kind(3) for kind in (jax.random.PRNGKey, jax.random.key))
    ids = [replay.sample(state, key, 16).ids for key in (old, new)]
    np.testing.assert_array_equal(*ids)


def test_arguments_in_the_wrong_place():
    replay: Any = PrioritizedReplay(5)
    state = replay.add(replay.init(ITEM), GOOD)
    sample = replay.sample(state, jax.random.key(0), 2)
    for ids in (sample, [2**31]):
        with pytest.raises(ValueError, match=r"got (Sample|list); write sample.ids, or"):
            replay.get(state, ids)
    with pytest.raises(ValueError, match=r"key must be one random key, got 2; write"):
        replay.sample(state, 2, jax.random.key(0))
    with pytest.raises(ValueError, match=r"got dict; the state is the first argument"):
        replay.add(GOOD, state)
    with pytest.raises(ValueError, match=r"got PrioritizedState; give the replay before"):
        resize(state, replay, 6)
    with pytest.raises(ValueError, match=r"Transitions'>; write Transitions\(...\)"):
        PrioritizedReplay(5, view=Transitions)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"beta must be numbers, got <.*; call it first"):
        replay.sample(state, jax.random.key(0), 2, beta=lambda step: 0.4)


def test_hints_that_fit_what_was_given():
    replay = PrioritizedReplay(5)
    state = replay.init(ITEM)
    with pytest.raises(ValueError, match=r"got \(4, 1\); write priorities.reshape\(\(4,\)\)"):
        replay.add(state, GOOD, priorities=jnp.ones((4, 1)))
    with pytest.raises(ValueError, match=r"got \[\]; .* write jnp.full\(\[4, 2, 3\], v"):
        replay.add(state, {**GOOD, "o": jnp.float32(0)})
    with pytest.raises(ValueError, match=r"if init was given a batch, .* leaf\[0\], x\)"):
        replay.add(replay.init(GOOD), GOOD)
    with pytest.raises(ValueError, match=r"of a list of items write .*jnp.stack"):
        replay.add(state, [ITEM, ITEM])
    with pytest.raises(ValueError, match=r"got int32; write jnp.asarray\(mask, bool\)"):
        replay.add(state, GOOD, mask=[1, 0, 1, 1])  # pyright: ignore[reportArgumentType]


def test_random_keys_are_no_item():
    with pytest.raises(ValueError, match=r"item\['key'\] must be of numbers .*key_data"):
        PrioritizedReplay(4).init({"key": jax.random.key(0)})


def test_what_is_no_array_is_no_item():
    replay = UniformReplay(4)
    with pytest.raises(ValueError, match=r"item\['name'\] must be an array, got 'x'"):
        replay.init({"name": "x"})
    with pytest.raises(ValueError, match=r"item\['name'\] must be an array, got 1099511627776"):
        replay.init({"name": 2**40})
    with pytest.raises(ValueError, match=r"items\['name'\] must be an array, got 'x'"):
        replay.add(replay.init({"name": 1}), {"name": "x"})
    with pytest.raises(ValueError, match=r"datetime64\('2026-11-27'\); only numbers and bools"):
        replay.init(np.datetime64("2026-11-27"))
    with pytest.raises(ValueError, match=r"write \{name: array\[name\] for name in"):
        replay.init(np.zeros(2, [("x", np.float32), ("y", np.int32)]))
    with pytest.raises(ValueError, match=r"register Point with jax.tree_util.register_dataclass"):
        replay.init(Point(1))


@pytest.mark.parametrize("shape", [(), (6,)])
def test_items_are_not_taken_for_steps(shape):
    replay = UniformReplay(4)
    state = replay.init(jnp.zeros(2))
    with pytest.raises(ValueError, match=r"items must have shape \[B, 2\], got \[6?\]$"):
        replay.add(state, jnp.zeros(shape))


def test_the_buffers_weights_need_a_state_made_for_them():
    state = PrioritizedReplay(4).init(ITEM)
    with pytest.raises(ValueError, match="made by a replay of another normalize"):
        PrioritizedReplay(4, normalize="buffer").sample(state, jax.random.key(0), 2)


def test_a_whole_float_is_no_integer():
    with pytest.raises(ValueError, match=r"capacity must be .* got 100000.0; write int\("):
        UniformReplay(1e5)  # pyright: ignore[reportArgumentType]


OTHERS = {
    "capacity 5, this replay of 6; use dataclasses.replace": lambda state: state,
    "state must be a .*State, as this replay's init returns it, got tuple": lambda _: (),
    r"one replay, got leading axes \(2,\); call the method under jax.vmap": lambda state: (
        jax.tree.map(lambda array: jnp.stack([array, array]), state)
    ),
}
METHODS = {
    "add": lambda replay, state: replay.add(state, GOOD),
    "sample": lambda replay, state: replay.sample(state, jax.random.key(0), 2),
    "get": lambda replay, state: replay.get(state, jnp.arange(2)),
    "probabilities": lambda replay, state: replay.probabilities(state, jnp.arange(2)),
    "update_priorities": lambda replay, state: replay.update_priorities(
        state, jnp.arange(2), jnp.ones(2)
    ),
    "reset_priorities": lambda replay, state: replay.reset_priorities(state),
    "stats": lambda replay, state: replay.stats(state),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("message", OTHERS)
def test_the_state_of_another_replay(message, method):
    for kind in (PrioritizedReplay, UniformReplay):
        state = OTHERS[message](kind(5).init(ITEM))
        with pytest.raises(ValueError, match=message):
            METHODS[method](kind(6), state)


VIEWS = [
    Items(),
    Transitions(2),
    Transitions(4),
    Transitions(2, n_step=3),
    Transitions(2, frame_stack=2),
    Transitions(2, autoreset="next_step"),
    Sequences(2, length=2),
    Sequences(2, length=3),
    Sequences(2, length=2, period=2),
    Sequences(2, length=2, boundaries="cross"),
]


@pytest.mark.parametrize("kind", [PrioritizedReplay, UniformReplay])
def test_the_state_of_another_view(kind):
    states = [kind(8, view=view).init(ITEM if view == Items() else STEP) for view in VIEWS]
    for view, state in zip(VIEWS, states, strict=True):
        kind(8, view=view).stats(state)
        for other in VIEWS:
            if other != view:
                match = (
                    rf"made under view={type(view).__name__}\(.* has view={type(other).__name__}"
                )
                with pytest.raises(ValueError, match=match):
                    kind(8, view=other).sample(state, jax.random.key(0), 2)


def test_the_view_of_a_state_is_told_by_what_differs():
    state = PrioritizedReplay(8, view=Transitions(2, n_step=3)).init(STEP)
    other = PrioritizedReplay(8, view=Transitions(2, discount=0.5))
    message = r"view=Transitions\(n_step=3\), this replay has view=Transitions\(n_step=1\)"
    with pytest.raises(ValueError, match=message):
        other.cut(state)
    with pytest.raises(ValueError, match=message):
        resize(other, state, 16)
    PrioritizedReplay(8, view=Transitions(2, n_step=3, discount=0.5)).cut(state)


def test_the_size_of_another_state():
    replay, other = PrioritizedReplay(8), UniformReplay(8)
    with pytest.raises(ValueError, match="state must be a PrioritizedState"):
        replay.size(other.init(ITEM))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="state must be a UniformState"):
        other.size(replay.init(ITEM))  # pyright: ignore[reportArgumentType]


def test_the_state_of_another_class():
    replays: list[Any] = [PrioritizedReplay(5), UniformReplay(5)]
    for replay, other in (replays, replays[::-1]):
        kind = type(replay).__name__.replace("Replay", "State")
        with pytest.raises(ValueError, match=f"state must be a {kind}, as this replay's init"):
            replay.add(other.init(ITEM), GOOD)


def test_what_a_configuration_takes_no_traced_value_for():
    with pytest.raises(ValueError, match=r"traced value; write replay.init\(item, alpha=...\)"):
        jax.vmap(lambda alpha: PrioritizedReplay(5, alpha=alpha).init(ITEM))(jnp.ones(2))
    with pytest.raises(ValueError, match=r"traced value; write replay.init\(item, discount=...\)"):
        jax.vmap(lambda discount: Transitions(2, discount=discount).n_step)(jnp.ones(2))
    with pytest.raises(ValueError, match=r"at least 0, got a traced value\n"):
        jax.vmap(lambda epsilon: PrioritizedReplay(5, epsilon=epsilon).capacity)(jnp.ones(2))
