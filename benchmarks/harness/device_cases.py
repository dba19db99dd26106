"""The functions that `benchmarks.device_ops` compiles, with bounds on their operations.

They are all public operations, and whole steps.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jaxper
from benchmarks.harness import h200
from jaxper import (
    PrioritizedReplay,
    Sequences,
    TimeStep,
    Transitions,
    UniformReplay,
    sharding,
    sum_tree,
)

CAPACITY, ADDED, BATCH = 2**20, 64, 256
MEBIBYTE = 2**20


class Case(NamedTuple):
    """A function to compile, and the bounds that its program has to keep."""

    name: str
    max_operations: int  # with those in the body of a loop counted once
    function: Callable
    arguments: tuple  # shapes and dtypes
    donated: Any = ()  # shapes and dtypes of the state, if it is donated
    max_loops: int = 0
    max_temp_bytes: int = MEBIBYTE
    devices: int = 1


def make_spec(*shape: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    """Returns the shape and dtype of an array."""
    return jax.ShapeDtypeStruct(shape, dtype)


def make_row_specs(item: Any, *count: int) -> Any:
    """Returns the shapes and dtypes of rows of items, arrays [*count, ...]."""
    return jax.tree.map(lambda array: make_spec(*count, *array.shape, dtype=array.dtype), item)


def make_transition_spec(observation: jax.ShapeDtypeStruct) -> dict[str, jax.ShapeDtypeStruct]:
    """Returns the shapes and dtypes of one transition."""
    return {
        "observation": observation,
        "action": make_spec(dtype=jnp.int32),
        "reward": make_spec(),
        "discount": make_spec(),
        "next_observation": observation,
    }


VECTORS = make_transition_spec(make_spec(8))
IMAGES = make_transition_spec(make_spec(84, 84, 4, dtype=jnp.uint8))
FLAG = make_spec(dtype=jnp.bool_)
STEP = TimeStep(make_spec(8), make_spec(dtype=jnp.int32), make_spec(), FLAG, FLAG)
FRAME = STEP._replace(observation=make_spec(84, 84, dtype=jnp.uint8))
FRAMES = Transitions(num_envs=16, n_step=3, frame_stack=4, stack_axis=-1)
KEY = jax.eval_shape(lambda: jax.random.key(0))
IDS, PRIORITIES = make_spec(BATCH, dtype=jnp.uint32), make_spec(BATCH)

# These methods return a state, and the state that they take is donated.
STATE_CHANGING = ("add", "update_priorities", "reset_priorities")

# The most operations that each method may become.
PRIORITIZED = {
    "add": 7,
    "sample": 11,
    "update_priorities": 6,
    "get": 2,
    "probabilities": 2,
    "size": 1,
    "reset_priorities": 7,
    "stats": 17,
}
UNIFORM = {"add": 4, "sample": 3, "update_priorities": 0}


def make_learn_first(replay: Any) -> Callable:
    """Returns a function that samples, updates the priorities, and adds."""

    def run(state: Any, items: Any, key: Any) -> tuple[Any, jaxper.Sample]:
        sample = replay.sample(state, key, BATCH)
        # The errors depend on all that was drawn. Otherwise XLA would read a part of it after the
        # add, and copy the storage for that.
        sums = [array.reshape(BATCH, -1).sum(axis=1) for array in jax.tree.leaves(sample.items)]
        errors = sum(sums[1:], sums[0].astype(jnp.float32))
        return replay.add(replay.update_priorities(state, sample.ids, errors), items), sample

    return run


def learn(
    replay: Any, state: Any, key: Any, axis_name: Any = None, batch_size: int = BATCH
) -> tuple[Any, jaxper.Sample]:
    """Samples, and updates the priorities with the errors of the batch."""
    sample = replay.sample(state, key, batch_size, axis_name=axis_name)
    return replay.update_priorities(state, sample.ids, estimate_error(sample.items)), sample


def estimate_error(items: Any) -> jax.Array:
    """Returns a stand-in for the TD errors of a batch."""
    if isinstance(items, jaxper.Sequence):
        return jaxper.sequence_priority(items.steps.reward, items.mask)
    return jnp.abs(items["reward"] if isinstance(items, dict) else items.reward)


def make_step(replay: Any, axis_name: Any = None, batch_size: int = BATCH) -> Callable:
    """Returns a function that adds, samples, and updates the priorities."""

    def run(state: Any, items: Any, key: Any) -> tuple[Any, jaxper.Sample]:
        return learn(replay, replay.add(state, items), key, axis_name, batch_size)

    return run


def make_scan(replay: Any) -> Callable:
    """Returns a function that scans over steps, and stacks their losses."""

    def run(state: Any, items: Any, keys: Any) -> tuple[Any, Any]:
        def body(state: Any, inputs: Any) -> tuple[Any, Any]:
            state, sample = make_step(replay)(state, *inputs)
            return state, jnp.mean(sample.weights * sample.items["reward"])

        return jax.lax.scan(body, state, (items, keys))

    return run


def make_rare_learning(replay: Any) -> Callable:
    """Returns a function that scans over adds, and samples and updates after every fourth."""

    def run(state: Any, items: Any, keys: Any) -> tuple[Any, Any]:
        def body(state: Any, inputs: Any) -> tuple[Any, Any]:
            turn, items, key = inputs
            state, turns = replay.add(state, items), jnp.where(turn % 4 == 0, 1, 0)
            return jax.lax.fori_loop(
                0, turns, lambda _, state: learn(replay, state, key)[0], state
            ), None

        return jax.lax.scan(body, state, (jnp.arange(len(keys)), items, keys))

    return run


def make_sharded_step(replay: Any, devices: int) -> Callable:
    """Returns a step on every device. Each has a replay of its own, and the weights are shared."""

    def step_one(_: Any, state: Any, items: Any, key: Any) -> tuple[Any, Any, Any]:
        return (), *make_step(replay, axis_name=h200.AXIS)(state, items, key)

    step_all = sharding.data_parallel(step_one, h200.make_mesh(devices), axis_name=h200.AXIS)
    return lambda state, items, key: step_all((), state, items, key)[1:]


def list_methods(replay: Any, bounds: dict[str, int]) -> Iterator[Case]:
    """Yields methods of a replay of vectors, with the most operations that each may become."""
    state = jax.eval_shape(replay.init, VECTORS)
    functions: dict[str, tuple[Callable, tuple]] = {
        "add": (replay.add, (state, make_row_specs(VECTORS, ADDED))),
        "sample": (lambda state, key: replay.sample(state, key, BATCH), (state, KEY)),
        "update_priorities": (replay.update_priorities, (state, IDS, PRIORITIES)),
        "get": (replay.get, (state, IDS)),
        "probabilities": (replay.probabilities, (state, IDS)),
        "size": (replay.size, (state,)),
        "reset_priorities": (replay.reset_priorities, (state,)),
        "stats": (replay.stats, (state,)),
    }
    for method, bound in bounds.items():
        name = f"{type(replay).__name__}.{method}"
        yield Case(name, bound, *functions[method], state if method in STATE_CHANGING else ())


def list_steps() -> Iterator[Case]:
    """Yields whole steps with few rows and with many."""
    replay = PrioritizedReplay(CAPACITY)
    for name, item, most in (("vectors", VECTORS, 23), ("84x84x4 images", IMAGES, 26)):
        state = jax.eval_shape(replay.init, item)
        arguments = (state, make_row_specs(item, ADDED), KEY)
        yield Case(f"step, {name}", most, make_step(replay), arguments, state)
    state = jax.eval_shape(replay.init, VECTORS)
    arguments = (state, make_row_specs(VECTORS, ADDED), KEY)
    yield Case("sample, update, add", 23, make_learn_first(replay), arguments, state)
    for batch_size, most in ((32, 21), (5, 22)):
        function = make_step(replay, batch_size=batch_size)
        arguments = (state, make_row_specs(VECTORS, 1), KEY)
        yield Case(f"one item, {batch_size} drawn", most, function, arguments, state)
    buffer = PrioritizedReplay(CAPACITY, normalize="buffer")
    for name, other, most in (
        ("step, weights of the buffer", buffer, 28),
        ("uniform step", UniformReplay(CAPACITY), 7),
    ):
        state = jax.eval_shape(other.init, VECTORS)
        arguments = (state, make_row_specs(VECTORS, ADDED), KEY)
        yield Case(name, most, make_step(other), arguments, state)


def list_loops() -> Iterator[Case]:
    """Yields programs of many steps."""
    replay = PrioritizedReplay(CAPACITY)
    state = jax.eval_shape(replay.init, VECTORS)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 10))
    arguments = (state, make_row_specs(VECTORS, 10, ADDED), keys)
    yield Case("10 steps in a scan", 26, make_scan(replay), arguments, state, max_loops=1)
    name = "10 adds in a scan, learning at 3"
    yield Case(name, 31, make_rare_learning(replay), arguments, state, max_loops=2)


def list_streams() -> Iterator[Case]:
    """Yields steps of streams, whose transitions and sequences are built when they are drawn."""
    for name, item, view, most in (
        ("3-step returns", STEP, Transitions(num_envs=16, n_step=3), 25),
        ("3-step returns, stacks of frames", FRAME, FRAMES, 28),
        ("sequences of 121 steps", STEP, Sequences(num_envs=16, length=121, period=40), 30),
    ):
        replay = PrioritizedReplay(CAPACITY, view=view)
        state = jax.eval_shape(replay.init, item)
        arguments = (state, make_row_specs(item, ADDED // view.num_envs, view.num_envs), KEY)
        yield Case(f"step, {name}", most, make_step(replay), arguments, state)


def list_parallel() -> Iterator[Case]:
    """Yields steps of many replays, on one device and on several."""
    small = PrioritizedReplay(2**12)
    state = jax.eval_shape(jax.vmap(lambda _: small.init(VECTORS)), jnp.zeros(256))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 256))
    arguments = (state, make_row_specs(VECTORS, 256, ADDED), keys)
    side_by_side = jax.vmap(make_step(small))
    name = "step of 256 replays under vmap"
    yield Case(name, 19, side_by_side, arguments, state, max_temp_bytes=4 * MEBIBYTE)
    name = "step of 256 replays under vmap, 32 on each of 8 devices"
    yield Case(name, 19, side_by_side, arguments, state, devices=8)
    shards = PrioritizedReplay(CAPACITY)
    state = jax.eval_shape(jax.vmap(lambda _: shards.init(VECTORS)), jnp.zeros(8))
    arguments = (state, make_row_specs(VECTORS, ADDED), KEY)
    yield Case(
        "step on each of 8 devices", 28, make_sharded_step(shards, 8), arguments, state, devices=8
    )


def list_cases() -> Iterator[Case]:
    """Yields all cases."""
    tree = jax.eval_shape(lambda: sum_tree.init(CAPACITY))
    indices = make_spec(BATCH, dtype=jnp.int32)
    yield Case("sum_tree.set", 7, sum_tree.set, (tree, indices, PRIORITIES), tree)
    yield Case("sum_tree.find", 7, sum_tree.find, (tree, PRIORITIES))
    yield from list_methods(PrioritizedReplay(CAPACITY), PRIORITIZED)
    yield from list_methods(UniformReplay(CAPACITY), UNIFORM)
    for list_some in (list_steps, list_loops, list_streams, list_parallel):
        yield from list_some()
