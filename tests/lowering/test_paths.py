"""Whatever path a backend or a size takes through the tree, the meaning is the same."""

import jax
import numpy as np
import pytest

from jaxper import PrioritizedReplay, Sequences, Transitions, UniformReplay, sum_tree
from jaxper.lowering import limits
from jaxper.storage import ring
from tests.helpers.random_lives import PRIORITIES, UPDATES, Life
from tests.helpers.stream_lives import StreamLife, make


def on_cuda(*arguments, default, **platforms):
    """Stands in for `jax.lax.platform_dependent` on that platform."""
    return platforms.get("cuda", default)(*arguments)


PATHS = {
    "as on a GPU": [(jax.lax, "platform_dependent", on_cuda)],
    "rows compared": [(limits, "ANY_COMPARED_ROWS", 2**30)],
    "rows claimed": [(limits, "ANY_COMPARED_ROWS", -1), (limits, "GPU_COMPARED_ROWS", -1)],
    "one thread": [(limits, "CPU_XLA_ONE_THREAD_ROWS", 0)],
    "all threads": [(limits, "CPU_ONE_THREAD_ROWS", 0)],
    "touched": [(limits, "CPU_OUT_OF_CACHE_LEAVES", 0), (limits, "CPU_OUT_OF_CACHE_WORDS", 0)],
    "streams on one thread": [(limits, "CPU_XLA_LARGE_ARRAY_NUMBERS", -1)],
    "items leaf by leaf": [(limits, "CPU_ONE_THREAD_ITEM_WORDS", 0)],
}


@pytest.fixture(params=PATHS)
def path(request, monkeypatch):
    """Everything compiled anew on one path, and once more after it."""
    jax.clear_caches()
    for owner, name, value in PATHS[request.param]:
        monkeypatch.setattr(owner, name, value)
    yield request.param
    jax.clear_caches()


def random_operations(count, random):
    for _ in range(count):
        priorities = random.choice(PRIORITIES, UPDATES).tolist()
        mask = (random.random(UPDATES) < 0.8).tolist()
        offsets = random.integers(-8, 3, UPDATES).tolist()
        yield [
            ("add", None),
            ("add with", priorities, mask),
            ("update", offsets, priorities, mask),
            ("update drawn", priorities, mask),
            ("reset", random.choice(PRIORITIES)),
        ][random.integers(5)]


@pytest.mark.slow
@pytest.mark.parametrize(
    "replay",
    [
        PrioritizedReplay(17, epsilon=0.0, normalize="buffer"),
        PrioritizedReplay(5000, epsilon=1e-6, normalize="none"),  # a stored level above the leaves
    ],
    ids=repr,
)
@pytest.mark.usefixtures("path")
def test_a_life_on_every_path(replay):
    life = Life(replay, next_id=int(ring.modulus(replay.capacity)) - 20)
    for operation in random_operations(25, np.random.default_rng(0)):
        life.do(operation)


@pytest.mark.slow
@pytest.mark.parametrize("path", ["as on a GPU", "streams on one thread"], indirect=True)
@pytest.mark.parametrize(
    "view",
    [
        Transitions(2, 3, 0.8, 2, padding="zeros", autoreset="next_step"),
        Sequences(3, 3, 2),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("path")
def test_a_streams_life_on_its_paths(view):
    life, random = StreamLife(make(view, rows=8)), np.random.default_rng(2)
    for seed in range(15):
        name = random.choice(["add", "add", "cut", "update", "update drawn"])
        life.do((name, 3, seed))


@pytest.mark.slow
@pytest.mark.usefixtures("path")
def test_equal_draws_on_every_path():
    """A mass finds the same leaf, of a tree of three stored levels."""
    random = np.random.default_rng(1)
    leaves = random.lognormal(sigma=4, size=70_000).astype(np.float32)
    leaves[random.random(70_000) < 0.3] = 0
    tree = sum_tree.init(70_000)
    for part in np.split(np.arange(70_000), 10):  # compared each with each, all at once take long
        tree = sum_tree.set(tree, part, leaves[part])
    edges = np.cumsum(leaves, dtype=np.float64)
    mass = (random.random(500) * edges[-1]).astype(np.float32)
    found = np.asarray(sum_tree.find(tree, mass))
    side_by_side = jax.vmap(sum_tree.find, (None, 0))(tree, mass.reshape(5, 100))
    np.testing.assert_array_equal(side_by_side.ravel(), found)
    assert (leaves[found] > 0).all()
    slack = edges[-1] * 1e-6
    assert (edges[found] >= mass - slack).all()
    assert (edges[found] - leaves[found] <= mass + slack).all()


@pytest.mark.parametrize("path", ["as on a GPU"], indirect=True)
@pytest.mark.usefixtures("path")
def test_large_leaves_come_back_bit_for_bit_on_a_gpu():
    """Those that fill whole words, and those that do not."""
    random = np.random.default_rng(0)
    shapes = dict.fromkeys(["uint8", "int8", "uint16", "bool", "float16", "float32"], (3, 32, 34))
    shapes |= {"uint8, odd": (3, 33, 33), "int16, odd": (3, 3, 333)}
    items = {
        name: random.integers(-(2**15), 2**15, shape).astype(np.int16).astype(name.split(",")[0])
        for name, shape in shapes.items()
    } | {"bool": random.random((3, 32, 34)) < 0.5}
    replay = UniformReplay(5)
    state = replay.add(replay.init(jax.tree.map(lambda leaf: leaf[0], items)), items)
    state = replay.add(state, items)
    found = replay.get(state, np.array([5, 2, 4, 3]))
    for name, leaf in items.items():
        np.testing.assert_array_equal(found[name], leaf[[2, 2, 1, 0]], name)
