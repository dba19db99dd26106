"""How many operations the replay becomes on an H200: `python -m benchmarks.device_ops`.

It compiles every public operation and whole steps, on a machine without a GPU, and prints a table
of what the compiler made of them. Nothing is run: a count is not a time, it pins the structure.
The command fails where a count is above its bound.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import jaxper
from benchmarks import h200
from jaxper import PrioritizedReplay, TimeStep, Transitions, UniformReplay, ring, sharding, sum_tree

jax.config.update("jax_platforms", "cpu")  # the GPU is only compiled for

CAPACITY, ADDED, BATCH = 2**20, 64, 256
MEBIBYTE = 2**20
MOST_CROSSING = 16  # bytes between devices: a few scalars


class Case(NamedTuple):
    """A function to compile, and what it may become."""

    name: str
    most: int  # operations; of a loop those around it
    function: Callable
    arguments: tuple  # shapes and dtypes
    donated: Any = ()  # the state, where the result takes over its memory
    loops: int = 0
    temp: int = MEBIBYTE  # bytes beside the batch
    devices: int = 1


def array(*shape: int, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def rows(item: Any, *count: int) -> Any:
    return jax.tree.map(lambda leaf: array(*count, *leaf.shape, dtype=leaf.dtype), item)


def transition(observation: jax.ShapeDtypeStruct) -> dict[str, jax.ShapeDtypeStruct]:
    return {
        "observation": observation,
        "action": array(dtype=jnp.int32),
        "reward": array(),
        "discount": array(),
        "next_observation": observation,
    }


VECTORS = transition(array(8))
IMAGES = transition(array(84, 84, 4, dtype=jnp.uint8))
FLAG = array(dtype=jnp.bool_)
STEP = TimeStep(array(8), array(dtype=jnp.int32), array(), FLAG, FLAG)
KEY = jax.eval_shape(lambda: jax.random.key(0))
IDS, PRIORITIES = array(BATCH, dtype=jnp.uint32), array(BATCH)
CHANGING = ("add", "update_priorities", "reset_priorities")
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


def learn_first(replay: Any) -> Callable:
    """Sample, update the priorities, and add."""

    def run(state: Any, items: Any, key: Any) -> tuple[Any, jaxper.Sample]:
        sample = replay.sample(state, key, BATCH)
        # Of all that was drawn, as an error is: what is read later would have to be copied.
        sums = [leaf.reshape(BATCH, -1).sum(axis=1) for leaf in jax.tree.leaves(sample.items)]
        errors = sum(sums[1:], sums[0].astype(jnp.float32))
        return replay.add(replay.update_priorities(state, sample.ids, errors), items), sample

    return run


def learn(
    replay: Any, state: Any, key: Any, axis_name: Any = None, batch_size: int = BATCH
) -> tuple[Any, jaxper.Sample]:
    """Sample, and update the priorities with an error of what was drawn."""
    sample = replay.sample(state, key, batch_size, axis_name=axis_name)
    reward = sample.items["reward"] if isinstance(sample.items, dict) else sample.items.reward
    return replay.update_priorities(state, sample.ids, jnp.abs(reward)), sample


def step(replay: Any, axis_name: Any = None, batch_size: int = BATCH) -> Callable:
    """Add and learn."""

    def run(state: Any, items: Any, key: Any) -> tuple[Any, jaxper.Sample]:
        return learn(replay, replay.add(state, items), key, axis_name, batch_size)

    return run


def scanned(replay: Any) -> Callable:
    """Many steps in one program, of which a loss is left."""

    def run(state: Any, items: Any, keys: Any) -> tuple[Any, Any]:
        def body(state: Any, inputs: Any) -> tuple[Any, Any]:
            state, sample = step(replay)(state, *inputs)
            return state, jnp.mean(sample.weights * sample.items["reward"])

        return jax.lax.scan(body, state, (items, keys))

    return run


def learning_at_times(replay: Any) -> Callable:
    """Many adds in one program, and at every fourth a draw and an update."""

    def run(state: Any, items: Any, keys: Any) -> tuple[Any, Any]:
        def body(state: Any, inputs: Any) -> tuple[Any, Any]:
            turn, items, key = inputs
            state, turns = replay.add(state, items), jnp.where(turn % 4 == 0, 1, 0)
            return jax.lax.fori_loop(
                0, turns, lambda _, state: learn(replay, state, key)[0], state
            ), None

        return jax.lax.scan(body, state, (jnp.arange(len(keys)), items, keys))

    return run


def sharded(replay: Any, devices: int) -> Callable:
    """A step on every device, each with a replay and all with one set of weights."""

    def on_one(_: Any, state: Any, items: Any, key: Any) -> tuple[Any, Any, Any]:
        return (), *step(replay, axis_name=h200.AXIS)(state, items, key)

    on_all = sharding.data_parallel(on_one, h200.mesh(devices), axis_name=h200.AXIS)
    return lambda state, items, key: on_all((), state, items, key)[1:]


def operations(replay: Any, most: dict[str, int]) -> Iterator[Case]:
    """These methods of a replay of vectors, and at most how many operations each may become."""
    state = jax.eval_shape(replay.init, VECTORS)
    functions: dict[str, tuple[Callable, tuple]] = {
        "add": (replay.add, (state, rows(VECTORS, ADDED))),
        "sample": (lambda state, key: replay.sample(state, key, BATCH), (state, KEY)),
        "update_priorities": (replay.update_priorities, (state, IDS, PRIORITIES)),
        "get": (replay.get, (state, IDS)),
        "probabilities": (replay.probabilities, (state, IDS)),
        "size": (replay.size, (state,)),
        "reset_priorities": (replay.reset_priorities, (state,)),
        "stats": (replay.stats, (state,)),
    }
    for method, bound in most.items():
        name = f"{type(replay).__name__}.{method}"
        yield Case(name, bound, *functions[method], state if method in CHANGING else ())


def steps() -> Iterator[Case]:
    """Whole steps, of vectors, images and streams, in a scan and side by side."""
    replay = PrioritizedReplay(CAPACITY)
    for name, item, most in (("vectors", VECTORS, 23), ("84x84x4 images", IMAGES, 26)):
        state = jax.eval_shape(replay.init, item)
        arguments = (state, rows(item, ADDED), KEY)
        yield Case(f"step, {name}", most, step(replay), arguments, state)
    state = jax.eval_shape(replay.init, VECTORS)
    arguments = (state, rows(VECTORS, ADDED), KEY)
    yield Case("sample, update, add", 23, learn_first(replay), arguments, state)
    for batch_size, most in ((32, 21), (5, 22)):
        function = step(replay, batch_size=batch_size)
        arguments = (state, rows(VECTORS, 1), KEY)
        yield Case(f"one item, {batch_size} drawn", most, function, arguments, state)
    smallest = PrioritizedReplay(CAPACITY, normalize="buffer")
    state = jax.eval_shape(smallest.init, VECTORS)
    arguments = (state, rows(VECTORS, ADDED), KEY)
    yield Case("step, weights of the buffer", 28, step(smallest), arguments, state)
    uniform = UniformReplay(CAPACITY)
    state = jax.eval_shape(uniform.init, VECTORS)
    yield Case("uniform step", 7, step(uniform), (state, rows(VECTORS, ADDED), KEY), state)
    state = jax.eval_shape(replay.init, VECTORS)
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 10))
    arguments = (state, rows(VECTORS, 10, ADDED), keys)
    yield Case("10 steps in a scan", 26, scanned(replay), arguments, state, loops=1)
    yield Case(
        "10 adds in a scan, learning at 3", 31, learning_at_times(replay), arguments, state, loops=2
    )
    stream = PrioritizedReplay(CAPACITY, view=Transitions(num_envs=16, n_step=3))
    state = jax.eval_shape(stream.init, STEP)
    arguments = (state, rows(STEP, ADDED // 16, 16), KEY)
    yield Case("step, stream of 3-step returns", 29, step(stream), arguments, state)
    small = PrioritizedReplay(2**12)
    state = jax.eval_shape(jax.vmap(lambda _: small.init(VECTORS)), jnp.zeros(256))
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 256))
    arguments = (state, rows(VECTORS, 256, ADDED), keys)
    many = jax.vmap(step(small))
    yield Case("step of 256 replays under vmap", 19, many, arguments, state, temp=4 * MEBIBYTE)
    name = "step of 256 replays under vmap, 32 on each of 8 devices"
    yield Case(name, 19, many, arguments, state, devices=8)
    shards = PrioritizedReplay(CAPACITY)
    state = jax.eval_shape(jax.vmap(lambda _: shards.init(VECTORS)), jnp.zeros(8))
    arguments = (state, rows(VECTORS, ADDED), KEY)
    yield Case("step on each of 8 devices", 28, sharded(shards, 8), arguments, state, devices=8)


def cases() -> Iterator[Case]:
    """All of them, with their bounds."""
    tree = jax.eval_shape(lambda: sum_tree.init(CAPACITY))
    indices = array(BATCH, dtype=jnp.int32)
    yield Case("sum_tree.set", 7, sum_tree.set, (tree, indices, PRIORITIES), tree)
    yield Case("sum_tree.find", 7, sum_tree.find, (tree, PRIORITIES))
    yield from operations(PrioritizedReplay(CAPACITY), PRIORITIZED)
    yield from operations(UniformReplay(CAPACITY), UNIFORM)
    yield from steps()


def main() -> None:
    failed = []
    print(f"jax {jax.__version__}, {CAPACITY:,} slots, add {ADDED}, sample and update {BATCH}\n")
    print("| compiled for an H200 | operations | at most | loops | copies | temp KiB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for case in cases():
        mesh, donate = h200.mesh(case.devices), case.donated != ()
        program = h200.compiled(mesh, case.function, *case.arguments, donate=donate)
        print(
            f"| {case.name} | {program.operations} | {case.most} | {program.loops} "
            f"| {program.copies} | {program.temp_bytes / 1024:,.0f} |",
            flush=True,
        )
        if (
            program.operations > case.most
            or program.operations < min(case.most, 1)  # none found: does the pattern still fit?
            or program.loops > case.loops
            or program.copies
            or program.crossing_bytes > MOST_CROSSING
            or program.temp_bytes > case.temp
            or program.donated_bytes < ring.nbytes(case.donated) / case.devices - MEBIBYTE
        ):
            failed.append(case.name)
    if failed:
        sys.exit(f"above its bound, with a copy or not donated whole: {', '.join(failed)}")


if __name__ == "__main__":
    main()
