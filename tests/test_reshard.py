"""Another number of shards: what stays live, and that every draw of it stays as it was."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sharded_lives import (
    Shard,
    draws,
    goes_on,
    kept_when_joined,
    kept_when_split,
    one,
    resharded,
    same_draws,
    stack,
)
from stream_lives import make

from jaxper import PrioritizedReplay, Sequences, Transitions, UniformReplay

VIEWS = [
    make(Transitions(2, 2, 0.9, 3), 16),
    pytest.param(
        make(Transitions(1, 3, 0.9, 2, autoreset="next_step"), 16), marks=pytest.mark.slow
    ),
    pytest.param(make(Sequences(2, 4, 2, "cross"), 16, uniform=True), marks=pytest.mark.slow),
    pytest.param(make(Sequences(1, 3, 2), 16), marks=pytest.mark.slow),
]


def of(replay, rows):
    return dataclasses.replace(replay, capacity=rows * replay.view.num_envs)


@pytest.mark.parametrize("replay", VIEWS, ids=repr)
@pytest.mark.parametrize("stored", [(16, 16), (24, 5), (3, 0), (1, 19)])
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
