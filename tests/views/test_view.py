"""The doors for another view: what a newcomer has to write, and what a subclass may change."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import Items, PrioritizedReplay, TimeStep, Transitions, UniformReplay, resize
from jaxper.storage import records


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Noisy(Items):
    """Items that come back with a random number each."""

    scale: float = 1.0

    @property
    def draws_randomly(self):
        return True

    def read(self, storage, slots, *, key, discount):
        items = records.read(storage, slots)
        if key is None:
            return items, jnp.zeros(slots.shape)
        return items, self.scale * jax.random.uniform(key, slots.shape)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class PlainItems(Items):
    """A subclass that changes nothing."""


REPLAYS = [PrioritizedReplay, UniformReplay]


@pytest.mark.parametrize("cls", REPLAYS)
def test_a_subclass_of_items_is_taken_for_a_view(cls):
    replay = cls(8, view=PlainItems())
    state = replay.add(replay.init(jnp.int32(0)), jnp.arange(5))
    assert int(replay.size(state)) == 5
    np.testing.assert_array_equal(replay.get(state, jnp.arange(5)), np.arange(5))
    larger = resize(replay, state, 16)
    assert int(dataclasses.replace(replay, capacity=16).size(larger)) == 5


@pytest.mark.parametrize("cls", REPLAYS)
def test_a_view_that_draws_gets_a_key_of_its_own_and_none_in_get(cls):
    replay = cls(8, view=Noisy(scale=2.0))
    state = replay.add(replay.init(jnp.int32(0)), jnp.arange(8))
    with jax.debug_key_reuse(True):
        _, noise = replay.sample(state, jax.random.key(0), 64).items
    _, other = replay.sample(state, jax.random.key(1), 64).items
    assert len(set(np.asarray(noise).tolist())) == 64
    assert 1 < noise.max() < 2
    assert not np.array_equal(noise, other)
    np.testing.assert_array_equal(replay.get(state, jnp.arange(8))[1], np.zeros(8))


@pytest.mark.parametrize("cls", REPLAYS)
def test_a_state_of_another_view_is_refused_with_both_names(cls):
    stream = cls(16, view=Transitions(2, autoreset="same_step"))
    step = TimeStep(jnp.zeros(3), jnp.int32(0), jnp.float32(0), jnp.bool_(0), jnp.bool_(0))
    with pytest.raises(ValueError, match=r"made under view=Transitions\(.*has view=Items\(\)"):
        cls(16).stats(stream.init(step))
    with pytest.raises(ValueError, match=r"made under view=Items\(\).*has view=Transitions\("):
        stream.stats(cls(16).init(jnp.int32(0)))


def test_what_is_no_view_is_refused():
    views: list[Any] = [3, Items, "items"]
    for view in views:
        with pytest.raises(ValueError, match="view must be a view"):
            UniformReplay(8, view=view)


def test_storage_is_made_in_the_memory_that_is_asked_for():
    item = {"a": jnp.zeros(3), "image": jnp.zeros((40, 40))}
    kinds = [memory.kind for memory in jax.devices()[0].addressable_memories()]
    for kind in kinds:
        storage = Items().init(item, 4, memory_kind=kind)
        for array in jax.tree.leaves(storage):
            assert array.sharding.memory_kind == kind
    default = Items().init(jnp.zeros(3), 4).words.sharding.memory_kind
    assert default in kinds


@pytest.mark.parametrize("beta", [-0.1, 1.5, float("nan"), np.float32(2), jnp.array(-1.0)])
def test_a_beta_out_of_range_is_refused_where_it_is_known(beta):
    replay = PrioritizedReplay(8)
    state = replay.add(replay.init(jnp.int32(0)), jnp.arange(8))
    with pytest.raises(ValueError, match="beta must be from 0 to 1, got"):
        replay.sample(state, jax.random.key(0), 4, beta=beta)
    with pytest.raises(ValueError, match="beta must be from 0 to 1, got"):
        jax.jit(lambda state, key: replay.sample(state, key, 4, beta=beta))(
            state, jax.random.key(0)
        )
    traced = jax.jit(lambda state, key, beta: replay.sample(state, key, 4, beta=beta))
    traced(state, jax.random.key(0), 0.5)
