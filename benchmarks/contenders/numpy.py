"""A plain segment tree in NumPy, as many agents have one: binary, updated and searched in bulk."""

import numpy as np

from benchmarks.harness import python_loop
from benchmarks.harness.work import Contender, Loop, Work, make_random_transitions


def list_contenders() -> list[Contender]:
    """Returns the tree, with the items in arrays beside it."""
    return [Contender("NumPy tree", np.__version__, _make_loops)]


def _make_loops(work: Work) -> dict[str, Loop]:
    random = np.random.default_rng(1)
    storage = make_random_transitions(work.capacity, random)
    size = 1 << (work.capacity - 1).bit_length()
    tree = np.zeros(2 * size)
    add_size, position = len(work.rows["reward"]), 0

    def update(ids, priorities):
        nodes = np.asarray(ids) + size
        tree[nodes] = (np.asarray(priorities) + 1e-6) ** 0.6
        while len(nodes) and nodes[0] > 1:
            nodes = np.unique(nodes >> 1)
            tree[nodes] = tree[2 * nodes] + tree[2 * nodes + 1]

    def add():
        nonlocal position
        slots = (position + np.arange(add_size)) % work.capacity
        for name, array in work.rows.items():
            storage[name][slots] = array
        update(slots, np.ones(add_size))
        position = (position + add_size) % work.capacity

    def sample():
        slices = np.arange(work.batch_size) + random.random(work.batch_size)
        mass = slices * tree[1] / work.batch_size
        nodes = np.ones(work.batch_size, np.int64)
        while nodes[0] < size:
            left = tree[2 * nodes]
            right = mass >= left
            mass, nodes = np.where(right, mass - left, mass), 2 * nodes + right
        slots = np.minimum(nodes - size, work.capacity - 1)
        weights = (tree[slots + size] / tree[1] * work.capacity) ** -0.4
        batch = {name: array[slots] for name, array in storage.items()}
        batch["weights"] = weights / weights.max()
        return batch["reward"], slots

    update(np.arange(work.capacity), work.first_priorities)
    return python_loop.make_loops(work, add, sample, update, np.asarray)
