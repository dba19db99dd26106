"""The work that every contender does, and the parts that it needs to be timed on it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

OPERATIONS = ("add", "sample", "update", "step")

# A loop goes through this many different batches in turn.
VARIANTS = 64

Rows = dict[str, np.ndarray]  # transitions, arrays [B, ...]
Loop = Callable[[int], None]  # takes a count, runs an operation that often, and waits for its end


class Work(NamedTuple):
    """The size of a full replay, and batches to add, to draw and to update."""

    capacity: int
    batch_size: int
    rows: Rows  # arrays [add_size, ...], to add
    ids: np.ndarray  # int32 [VARIANTS, batch_size], of random items, to update
    priorities: np.ndarray  # float32 [VARIANTS, batch_size]
    first_priorities: np.ndarray  # float32 [capacity], of the items of the full replay
    inner_turns: int = 1  # how often a compiled operation runs for each count of its loop


class Contender(NamedTuple):
    """A library, or one of its paths, that does the work."""

    name: str
    version: str
    make_loops: Callable[[Work], dict[str, Loop]]  # the loops by the name of their operation


class Missing(NamedTuple):
    """A contender that cannot be imported."""

    name: str
    reason: str


class Cell(NamedTuple):
    """The times of one operation at one size."""

    capacity: int
    batch_size: int
    operation: str
    times: dict[str, np.ndarray]  # microseconds [rounds] by contender
    left_out: dict[str, str]  # reason by contender


def make_work(capacity: int, batch_size: int, add_size: int, seed: int = 0) -> Work:
    """Returns random work of these sizes."""
    random = np.random.default_rng(seed)
    return Work(
        capacity=capacity,
        batch_size=batch_size,
        rows=make_random_transitions(add_size, random),
        ids=random.integers(0, capacity, (VARIANTS, batch_size), np.int32),
        priorities=random.lognormal(size=(VARIANTS, batch_size)).astype(np.float32),
        first_priorities=random.lognormal(size=capacity).astype(np.float32),
    )


def make_random_transitions(count: int, random: np.random.Generator) -> Rows:
    """Returns transitions of a small environment, as a user would store them: 80 bytes each."""
    return {
        "observation": random.normal(size=(count, 8)).astype(np.float32),
        "action": random.integers(0, 4, count, np.int32),
        "reward": random.normal(size=count).astype(np.float32),
        "discount": np.full(count, 0.99, np.float32),
        "next_observation": random.normal(size=(count, 8)).astype(np.float32),
    }
