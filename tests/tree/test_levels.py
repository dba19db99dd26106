"""Tests of the levels above the leaves after adds, which write runs and refresh their groups."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import (
    Items,
    PrioritizedReplay,
    Sequences,
    TimeStep,
    Transitions,
    UniformReplay,
)
from jaxper.tree import core, levels
from jaxper.tree.levels import GROUP

REPLAYS = [  # of more leaves than the highest level has, whose groups end anywhere in a row
    (PrioritizedReplay(5000, normalize="buffer"), [1, 2, 37, 2500, 5000]),
    (PrioritizedReplay(5020, view=Transitions(20, 3)), [1, 2, 50, 251]),
    (PrioritizedReplay(5103, view=Sequences(3, 5, 2)), [1, 3, 40, 1701]),
    (UniformReplay(4305, view=Transitions(35, 2, frame_stack=3)), [1, 4, 123]),
]


def rows_of(replay, size):
    if replay.view == Items():
        return jnp.arange(size, dtype=jnp.float32)
    code = jnp.zeros((size, replay.view.num_envs))
    ends = jnp.arange(code.size).reshape(code.shape) % 11 == 0
    return TimeStep(code, code, code, ends, ~ends & (code > 0))


@pytest.mark.parametrize("capacity", [1, 5, 15, 16, 17, 33, 48])
def test_a_run_of_slots_is_in_these_groups(capacity):
    """Wherever it begins, however long it is, and around the end of the ring."""
    firsts = np.arange(capacity, dtype=np.uint32)
    for count in range(capacity + 1):
        found = jax.vmap(lambda first, n=count: levels.find_groups(first, n, capacity))(firsts)
        assert found.shape[1] > 1  # XLA makes the scatter of one row an update of a slice
        assert found.shape[1] <= -(-count // GROUP) + 2
        for first, groups in zip(firsts, np.asarray(found).tolist(), strict=True):
            assert {(first + i) % capacity // GROUP for i in range(count)} <= set(groups)
            assert max(groups) <= (capacity - 1) // GROUP


@pytest.mark.parametrize(("replay", "sizes"), REPLAYS, ids=lambda value: repr(value)[:60])
def test_levels_follow_from_the_leaves_after_every_add(replay, sizes):
    """Runs have all sizes up to a whole ring, and wrap more than once."""
    first = rows_of(replay, 1)
    state = replay.init(jax.tree.map(lambda leaf: leaf[(0,) * (1 + (leaf.ndim > 1))], first))
    add = jax.jit(replay.add)
    for size in [*sizes, *sizes[:-1], *sizes]:
        state = add(state, rows_of(replay, size))
        assert state.tree.sums
        chex.assert_trees_all_equal(state.tree, core.with_leaves(state.tree, state.tree.leaves))
    assert int(replay.size(state)) > 0
