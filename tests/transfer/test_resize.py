"""A replay of another capacity goes on as the reference of that capacity does."""

import dataclasses
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import PrioritizedReplay, Sequences, Transitions, UniformReplay, resize, sum_tree
from jaxper.storage import ring
from tests.helpers.random_lives import PRIORITIES, UPDATES
from tests.helpers.resized_lives import ResizedLife, ResizedStreamLife
from tests.helpers.stream_lives import item, make

ADDS = 3  # rows of each add to a stream: one shape for each capacity


def random_items(life, capacities, random):
    """Whatever a life does, and at times another capacity."""
    priorities = random.choice(PRIORITIES, UPDATES).tolist()
    mask = (random.random(UPDATES) < 0.8).tolist()
    offsets = random.integers(-8, 3, UPDATES).tolist()
    life.do(
        [
            ("add", None),
            ("add with", priorities, mask),
            ("update", offsets, priorities, mask),
            ("update drawn", priorities, mask),
            ("resize", int(random.choice(capacities))),
        ][random.integers(5)]
    )


def near_the_end_of_ids(replay, back):
    return int(ring.modulus(replay.capacity)) - back


@pytest.mark.parametrize("back", [None, 9])
def test_items_follow_the_reference(back):
    replay = PrioritizedReplay(9, epsilon=0.0, normalize="buffer")
    random = np.random.default_rng(1)
    for _ in range(6):
        life = ResizedLife(replay, near_the_end_of_ids(replay, back) if back else 0)
        for _ in range(15):
            random_items(life, [8, 9], random)


def test_ids_beyond_the_last_of_the_new_capacity():
    """Capacity 9 has ids up to 2^32 - 5, capacity 8 up to 2^32 - 9."""
    replay = PrioritizedReplay(9, epsilon=0.0, normalize="buffer")
    life = ResizedLife(replay, near_the_end_of_ids(replay, 8))
    for operation in [("add", None), ("resize", 8), ("add", None), ("resize", 9), ("add", None)]:
        life.do(operation)
    assert int(life.state.next_id) == 2 + 12


FRAMES = make(Transitions(3, 2, 0.9, 4), 11)
STREAMS = [
    make(Transitions(2, 3, 0.8, 2, autoreset="next_step"), 9, uniform=True),
    make(Sequences(2, 4, 3, "cross"), 9),
    make(Sequences(1, 3, 2), 9),
]
DEEDS = ["add", "add", "add", "cut", "update", "update drawn", "resize"]


def follows_the_reference(replay, rows):
    """Lives of a stream that has any of these numbers of rows in turn."""
    envs = replay.view.num_envs
    random = np.random.default_rng(2)
    for back in [0, 0, 0, 7 * envs, 7 * envs]:
        life = ResizedStreamLife(replay, near_the_end_of_ids(replay, back) if back else 0)
        for _ in range(20):
            name, seed = random.choice(DEEDS), int(random.integers(2**16))
            size = {"add": ADDS, "resize": envs * int(random.choice(rows))}.get(name)
            life.do((name, size, seed))


def test_a_stream_follows_the_reference():
    follows_the_reference(FRAMES, [6, 11])


def test_a_ring_that_is_just_full_has_lost_nothing():
    life = ResizedStreamLife(FRAMES)
    for name, size in [("add", 3), ("add", 3), ("resize", 18), ("resize", 33), ("add", 3)]:
        life.do((name, size, 0))


@pytest.mark.slow
@pytest.mark.parametrize("replay", STREAMS, ids=repr)
def test_streams_follow_the_reference(replay):
    follows_the_reference(replay, [7, 9, 20])


def test_uniform_items_keep_the_newest_and_their_ids():
    replay = UniformReplay(6)
    state = replay.init(jnp.int32(0))
    for start in range(0, 12, 4):
        state = replay.add(state, jnp.arange(start, start + 4))
    for capacity, kept in [(4, 4), (6, 6), (50, 6)]:
        new = dataclasses.replace(replay, capacity=capacity)
        there = resize(replay, state, capacity)
        ids = jnp.arange(12 - kept, 12)
        assert int(new.size(there)) == kept
        np.testing.assert_array_equal(new.get(there, ids), ids)
        assert np.all(np.asarray(new.probabilities(there, ids)) > 0)
        expected = jax.eval_shape(new.init, jnp.int32(0))
        assert jax.tree.map(jnp.shape, there) == jax.tree.map(jnp.shape, expected)


def test_the_same_capacity_changes_no_bit():
    life = ResizedStreamLife(FRAMES)
    random = np.random.default_rng(3)
    for _ in range(5):
        life.add(random, ADDS)
    same = resize(life.replay, life.state, life.replay.capacity)
    for before, after in zip(jax.tree.leaves(life.state), jax.tree.leaves(same), strict=True):
        np.testing.assert_array_equal(before, after)


def test_many_replays_are_resized_by_vmap():
    replay = PrioritizedReplay(4)
    states = jax.vmap(lambda alpha: replay.init(jnp.int32(0), alpha=alpha))(jnp.arange(3.0))
    states = jax.vmap(replay.add)(states, jnp.arange(9).reshape(3, 3))
    grown = jax.vmap(lambda state: resize(replay, state, 8))(states)
    assert grown.alpha.tolist() == [0, 1, 2]
    assert grown.tree.live.tolist() == [3, 3, 3]
    with pytest.raises(ValueError, match=r"leading axes \(3,\); write jax.vmap"):
        resize(replay, states, 8)
    with pytest.raises(ValueError, match="state must be the replay's, got tuple"):
        resize(replay, cast(Any, ()), 8)


def test_a_capacity_that_does_not_fit_is_refused():
    state = FRAMES.init(item())
    with pytest.raises(ValueError, match="multiple of num_envs = 3"):
        resize(FRAMES, state, 32)
    with pytest.raises(ValueError, match=r"at least n_step \+ frame_stack = 6"):
        resize(FRAMES, state, 15)
    with pytest.raises(ValueError, match="capacity must be from 1"):
        resize(PrioritizedReplay(4), PrioritizedReplay(4).init(jnp.int32(0)), 0)


def test_a_state_of_another_replay_is_refused():
    replay = PrioritizedReplay(8)
    state = replay.add(replay.init(jnp.float32(0)), jnp.arange(8.0))
    for other in (PrioritizedReplay(16), PrioritizedReplay(4), UniformReplay(8)):
        with pytest.raises(ValueError, match="give the replay that it was made with"):
            resize(other, state, 16)


def test_leaves_are_clipped_to_the_new_capacity():
    """The total of a larger ring must stay finite too."""
    replay = PrioritizedReplay(4, alpha=1.0)
    state = replay.add(replay.init(jnp.int32(0)), jnp.arange(4), priorities=jnp.full(4, 3e38))
    assert float(sum_tree.get(state.tree, jnp.arange(4))[0]) == 2.0**126 / 4
    resized = resize(replay, state, 4096)
    np.testing.assert_array_equal(sum_tree.get(resized.tree, jnp.arange(4)), 2.0**126 / 4096)
