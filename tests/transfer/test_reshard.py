"""Another number of shards: what stays live, and that every draw of it stays as it was."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import PrioritizedReplay, Sequences, Transitions, UniformReplay, resize
from tests.helpers.sharded_lives import (
    APART,
    Shard,
    draws,
    goes_on,
    kept_when_joined,
    kept_when_split,
    resharded,
    same_draws,
    stack,
)
from tests.helpers.stream_lives import make

VIEWS = [
    make(Transitions(2, 2, 0.9, 3), 16),
    pytest.param(
        make(Transitions(1, 3, 0.9, 2, autoreset="next_step"), 16), marks=pytest.mark.slow
    ),
    pytest.param(make(Sequences(2, 4, 2, "cross"), 16, uniform=True), marks=pytest.mark.slow),
    pytest.param(make(Sequences(1, 3, 2), 16), marks=pytest.mark.slow),
]


def items_of(replay, count, seed):
    """A replay after `count` adds of 2, some of them retired, and a few bad updates."""
    random, state = np.random.default_rng(seed), replay.init({"x": jnp.int32(0)})
    for i in range(count):
        codes = np.array([2 * i, 2 * i + 1], np.int32) + seed * APART
        priorities = random.choice([0, 0.5, 2, 5 + seed], 2).astype(np.float32)
        state = replay.add(state, {"x": codes}, priorities=priorities)
    if isinstance(replay, PrioritizedReplay):
        state = replay.update_priorities(state, np.array([0, 2**32 - 1], np.uint32), -np.ones(2))
        state = replay.update_priorities(state, np.array([2**32 - 1], np.uint32), np.ones(1))
    return state


def in_turns(replay, states, counts):
    """Codes of all live items, the newest of every shard first."""
    aged = []
    for shard, (state, count) in enumerate(zip(states, counts, strict=True)):
        aged += [(2 * count - 1 - code % APART, shard, code) for code in draws(replay, state)]
    return [code for _, _, code in sorted(aged)]


@pytest.mark.parametrize("kind", [PrioritizedReplay, UniformReplay])
@pytest.mark.parametrize(("counts", "parts"), [((9, 3, 0, 5), 1), ((9,), 3), ((2,), 3)])
def test_items_are_dealt_out_by_age(kind, counts, parts):
    replay = kind(11) if kind is UniformReplay else kind(11, epsilon=0.0)
    states = [items_of(replay, count, shard) for shard, count in enumerate(counts)]
    every = {}
    for state in states:
        every |= draws(replay, state)
    order = in_turns(replay, states, counts)
    for capacity in (4, 50):
        new = dataclasses.replace(replay, capacity=capacity)
        for part in range(parts):
            state = resharded(replay, new, stack(states), jnp.int32(part), parts)
            kept = order[part::parts][:capacity]
            found = draws(new, state)
            assert list(found) == kept[::-1]  # oldest first from slot 0
            same_draws(found, every)
            assert int(state.next_id) == int(state.stored) == len(kept)
            check_counters(state, states, part)
            after = draws(new, new.add(state, {"x": jnp.array([APART - 2, APART - 1])}))
            assert after.keys() == {*kept[: capacity - 2], APART - 2, APART - 1}


def check_counters(state, states, part):
    if not hasattr(state, "alpha"):
        return
    assert state.max_priority == max(float(state.max_priority) for state in states)
    assert int(state.rejected) == sum(int(state.rejected) for state in states) * (part == 0)
    assert int(state.stale) == sum(int(state.stale) for state in states) * (part == 0)


def test_counters_saturate_when_they_are_added():
    replay = PrioritizedReplay(4)
    state = replay.init({"x": jnp.int32(0)})._replace(stale=jnp.uint32(2**31))
    state = resharded(replay, replay, stack([state, state, state]), jnp.int32(0), 1)
    assert int(state.stale) == 2**32 - 1


def test_leaves_that_a_larger_ring_could_not_add_up_are_bounded():
    replay = PrioritizedReplay(16, alpha=1.0)
    state = replay.init({"x": jnp.int32(0)})
    state = replay.add(state, {"x": jnp.arange(16)}, priorities=jnp.full(16, 3e38))
    new = PrioritizedReplay(64, alpha=1.0)
    joined = resharded(replay, new, stack([state] * 4), jnp.int32(0), 1)
    assert float(new.stats(joined).total) == 2.0**126
    assert float(new.stats(resize(replay, state, 64)).total) == 2.0**124


def of(replay, rows):
    return dataclasses.replace(replay, capacity=rows * replay.view.num_envs)


@pytest.mark.parametrize("replay", VIEWS, ids=repr)
@pytest.mark.parametrize("stored", [(16, 16), (24, 5), (24, 1), (3, 0)])
def test_streams_are_joined(replay, stored):
    shards = [Shard(replay, i, rows, i) for i, rows in enumerate(stored)]
    expected = draws(replay, shards[0].state) | draws(replay, shards[1].state)
    states = stack([shard.state for shard in shards])
    for rows in (16, 32):
        new = of(replay, rows)
        state = resharded(replay, new, states, jnp.int32(0), 1)
        found = draws(new, state)
        assert found.keys() == kept_when_joined(shards, rows)
        same_draws(found, expected)
        goes_on(new, state, shards[-1], 7)


@pytest.mark.parametrize("replay", VIEWS, ids=repr)
@pytest.mark.parametrize("stored", [24, 16, 5, 1, 0])
def test_a_stream_is_split(replay, stored):
    shard = Shard(replay, 0, stored, stored)
    expected = draws(replay, shard.state)
    states = stack([shard.state])
    for rows in (8, 16):
        new = of(replay, rows)
        parts = [resharded(replay, new, states, jnp.int32(part), 2) for part in range(2)]
        found = [draws(new, part) for part in parts]
        assert not found[0].keys() & found[1].keys()
        together = found[0] | found[1]
        assert together.keys() == kept_when_split(shard, 2, rows)
        same_draws(together, expected)
        goes_on(new, parts[1], shard, 8)
