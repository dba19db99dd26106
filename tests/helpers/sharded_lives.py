"""Shards whose items tell where they came from, and what can be drawn of them."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxper import Items, cut, resize
from jaxper.storage import ring
from jaxper.transfer import reshard
from tests.helpers.stream_lives import FEW_ENDS, StreamLife, stacked

APART = 100_000  # between the codes of two shards


@partial(jax.jit, static_argnames="parts")
def resharded(old, new, states, part, parts):
    return reshard.reshard(old, new, states, part, parts)


def stack(states):
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *states)


def one(states, shard):
    return jax.tree.map(lambda array: jnp.asarray(array[shard]), states)


def draws(replay, state):
    """By code: the leaf of each live slot and all that a draw of it returns."""
    slots = jnp.arange(replay.capacity, dtype=jnp.uint32)
    ids = ring.id_in_slot(slots, state.next_id, replay.capacity)
    items = jax.tree.map(np.asarray, replay.get(state, ids))
    if state.tree is None:
        leaves = np.asarray(replay.probabilities(state, ids) > 0, np.float32)
    else:
        leaves = np.asarray(state.tree.leaves).ravel()[: replay.capacity]
    codes = codes_of(replay, items)
    live = np.flatnonzero(leaves)
    assert len(live) == int(replay.size(state))
    found = {
        int(codes[slot]): (leaves[slot].item(), jax.tree.map(lambda x, i=slot: x[i], items))
        for slot in live
    }
    assert len(found) == len(live)
    return found


def codes_of(replay, items):
    if isinstance(replay.view, Items):
        return items["x"]
    return items.steps.action[:, 0] if hasattr(items, "steps") else items.action


def same_draws(found, expected):
    """Every draw that was found is the expected one but for cuts at the end of a sequence."""
    for code, (leaf, item) in found.items():
        assert leaf == expected[code][0], code
        same_item(item, expected[code][1])


def same_item(item, other):
    if hasattr(item, "steps"):
        item, other = ended(item), ended(other)
    elif item.__class__.__name__ == "Transition" and item.discount == 0:
        item, other = (x._replace(next_observation=()) for x in (item, other))
    for a, b in zip(jax.tree.leaves(item), jax.tree.leaves(other), strict=True):
        np.testing.assert_array_equal(a, b)


def ended(sequence):
    """With its last step cut, which is what the end of a shard's stream does."""
    truncated = sequence.steps.truncated.copy()
    truncated[-1] = True
    return sequence._replace(steps=sequence.steps._replace(truncated=truncated))


class Shard(StreamLife):
    """A stream whose codes are its own, of any age."""

    def __init__(self, replay, shard, rows, seed):
        super().__init__(replay)
        self.base = self.code = shard * APART
        self.random = np.random.default_rng(seed)
        while rows:
            size = min(rows, 3)
            self.add(self.random, size)
            self.update_drawn(self.random, None)
            rows -= size

    @property
    def rows(self):
        return len(self.model.steps)

    def row_of(self, code):
        """When a step was added."""
        return (code - self.base - 1) // self.view.num_envs


def kept_when_joined(shards, rows):
    """The codes that stay live: those of the newest rows, but for lost stacks of frames."""
    by_age = sorted(
        (age, shard)
        for shard, life in enumerate(shards)
        for age in range(life.model.stored // life.view.num_envs)
    )
    kept = by_age[:rows]
    codes = set()
    for shard, life in enumerate(shards):
        count, stored = sum(s == shard for _, s in kept), life.model.stored // life.view.num_envs
        first = life.rows - count
        first += life.view.rows_before if count < stored else 0
        live = draws(life.replay, life.state)
        codes |= {code for code in live if life.row_of(code) >= first}
    return codes


def kept_when_split(life, parts, rows):
    """The codes that stay live: each part loses the rows that only lead in and out."""
    before, after = life.view.rows_before, life.view.rows_after
    stored = life.model.stored // life.view.num_envs
    room = stored
    if -(-stored // parts) + before + after > rows:
        room = rows - before + (parts - 1) * (rows - before - after)
    live = draws(life.replay, life.state)
    return {code for code in live if life.row_of(code) >= life.rows - room}


def goes_on(new, state, life, seed):
    """The newest part draws what its old stream would draw after a cut and the same steps.

    Starts that were live stay so, and as they were, until they or their frames are overwritten.
    """
    random, life.code = np.random.default_rng(seed), life.base + life.view.num_envs * life.rows
    rows, held = new.capacity // new.view.num_envs, int(state.stored) // new.view.num_envs
    large = dataclasses.replace(life.replay, capacity=64 * new.view.num_envs)
    twin = resize(life.replay, cut(life.state), large.capacity)
    if hasattr(state, "max_priority"):
        twin = twin._replace(max_priority=state.max_priority)  # the largest of all shards
    before, row, old = draws(new, state), rows_held(new, state), draws(large, twin)
    for added in range(3, rows + 7, 3):
        steps = [[life.step(random, FEW_ENDS) for _ in range(new.view.num_envs)] for _ in range(3)]
        mask = np.array([[step.mask for step in row] for row in steps])
        state = new.add(state, stacked(steps), mask=mask)
        twin = large.add(twin, stacked(steps), mask=mask)
        lost = new.view.rows_before if held + added > rows else 0
        found, there = draws(new, state), draws(large, twin)
        alive = {code for code in before if held - 1 - row[code] + added < rows - lost}
        oldest = life.rows + added - rows + lost
        fresh = {code for code in there.keys() - old.keys() if life.row_of(code) >= oldest}
        assert found.keys() == alive | fresh
        same_draws({code: found[code] for code in alive}, before)
        same_draws({code: found[code] for code in fresh}, there)


def rows_held(replay, state):
    """By code: the row of every slot."""
    slots = jnp.arange(replay.capacity, dtype=jnp.uint32)
    ids = ring.id_in_slot(slots, state.next_id, replay.capacity)
    codes = codes_of(replay, jax.tree.map(np.asarray, replay.get(state, ids)))
    return {int(code): slot // replay.view.num_envs for slot, code in enumerate(codes)}
