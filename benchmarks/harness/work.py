"""The work that every contender is given, and what it must offer to be timed on it."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

OPERATIONS = ("add", "sample", "update", "step")
VARIANTS = 64  # different batches that an operation's runs go through in turn

Rows = dict[str, np.ndarray]  # of a transition, leaves [B, ...]
Loop = Callable[[int], None]  # runs an operation `count * inner_turns` times, then returns


class Work(NamedTuple):
    """A full replay of `capacity`, and batches to add, to draw and to update."""

    capacity: int
    batch_size: int
    rows: Rows  # [add_size, ...] to add
    ids: np.ndarray  # int32 [VARIANTS, batch_size], of items to update, drawn at random
    priorities: np.ndarray  # float32 [VARIANTS, batch_size]
    first_priorities: np.ndarray  # float32 [capacity], the priorities that the items have at first
    inner_turns: int = 1  # runs, of a compiled operation, that count as one


class Contender(NamedTuple):
    """A library, or one of its paths, that does the work."""

    name: str
    version: str
    make_loops: Callable[[Work], dict[str, Loop]]  # an operation's name to what runs it


class Missing(NamedTuple):
    """A contender that is not here."""

    name: str
    reason: str


class Cell(NamedTuple):
    """Times of one operation at one size."""

    capacity: int
    batch_size: int
    operation: str
    times: dict[str, np.ndarray]  # microseconds [rounds] by contender
    left_out: dict[str, str]  # why, by contender


def make_work(capacity: int, batch_size: int, add_size: int, seed: int = 0) -> Work:
    """Work of these sizes."""
    random = np.random.default_rng(seed)
    return Work(
        capacity=capacity,
        batch_size=batch_size,
        rows=random_transitions(add_size, random),
        ids=random.integers(0, capacity, (VARIANTS, batch_size), np.int32),
        priorities=random.lognormal(size=(VARIANTS, batch_size)).astype(np.float32),
        first_priorities=random.lognormal(size=capacity).astype(np.float32),
    )


def random_transitions(count: int, random: np.random.Generator) -> Rows:
    """Transitions of a small environment, as a user would store them: 80 bytes each."""
    return {
        "observation": random.normal(size=(count, 8)).astype(np.float32),
        "action": random.integers(0, 4, count, np.int32),
        "reward": random.normal(size=count).astype(np.float32),
        "discount": np.full(count, 0.99, np.float32),
        "next_observation": random.normal(size=(count, 8)).astype(np.float32),
    }
