"""Random lives of a stream, and the check of each moment against the reference."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from jaxper import PrioritizedReplay, TimeStep, UniformReplay
from tests.helpers.reference import NO_ID, ReferenceStream, Step

DRAWS = 8
FEW_ENDS, MANY_ENDS = [0, 0, 0, 0, 0, 1, 2], [0, 1, 2, 3]  # 1 terminated, 2 truncated, 3 both


def operations(sizes):
    """Lists of what a life does; adds of `sizes` rows, each size a shape that is compiled."""
    seeds = st.integers(0, 2**16)
    add = st.tuples(st.just("add"), st.sampled_from(sizes), seeds)
    others = st.tuples(st.sampled_from(["cut", "update", "update drawn"]), st.none(), seeds)
    return st.lists(st.one_of(add, add, others), min_size=4, max_size=14)


def item(reward_shape=()):
    flag = jax.ShapeDtypeStruct((), jnp.bool_)
    observation = {"x": jnp.zeros(2, jnp.int32), "pixel": jnp.uint8(0)}
    reward, h = (jax.ShapeDtypeStruct(shape, jnp.float32) for shape in (reward_shape, ()))
    return TimeStep(observation, jnp.int32(0), reward, flag, flag, {"h": h})


def random_step(random, code, ends, reward_shape):
    """A step whose every leaf tells it from the others."""
    end = random.choice(ends)
    observation = {"x": np.array([code, -code], np.int32), "pixel": np.uint8(1 + code % 251)}
    reward = random.normal(size=reward_shape).astype(np.float32)
    extras = {"h": np.float32(code) / 2}
    mask = random.random() < 0.8
    return Step(observation, code, reward, bool(end & 1), bool(end & 2), extras, mask)


def stacked(rows):
    """`rows` [T][num_envs] of Step as a TimeStep with arrays [T, num_envs, ...]."""

    def leaves(get):
        columns = [[get(step) for step in row] for row in rows]
        return jax.tree.map(
            lambda *each: np.array(each).reshape(len(rows), len(rows[0]), *np.shape(each[0])),
            *[leaf for row in columns for leaf in row],
        )

    return TimeStep(
        observation=leaves(lambda step: step.observation),
        action=leaves(lambda step: np.int32(step.action)),
        reward=leaves(lambda step: step.reward),
        terminated=leaves(lambda step: step.terminated),
        truncated=leaves(lambda step: step.truncated),
        extras=leaves(lambda step: step.extras),
    )


class StreamLife:
    """One replay of a stream and its reference, moved in step."""

    def __init__(self, replay, next_id=0, reward_shape=()):
        self.replay, self.view, self.code = replay, replay.view, 0
        self.uniform = isinstance(replay, UniformReplay)
        self.reward_shape = reward_shape
        self.state = replay.init(item(reward_shape))._replace(next_id=jnp.uint32(next_id))
        alpha, epsilon = (0.0, 0.0) if self.uniform else (replay.alpha, replay.epsilon)
        alpha = float(np.float32(alpha))
        self.model = ReferenceStream(self.view, replay.capacity, alpha, epsilon, next_id)

    def do(self, operation):
        name, size, seed = operation
        random = np.random.default_rng(seed)
        getattr(self, name.replace(" ", "_"))(random, size)
        self.check(seed)

    def add(self, random, size):
        ends = FEW_ENDS if random.random() < 0.7 else MANY_ENDS
        rows = [[self.step(random, ends) for _ in range(self.view.num_envs)] for _ in range(size)]
        mask = np.array([[step.mask for step in row] for row in rows])
        self.state = self.replay.add(self.state, stacked(rows), mask=mask)
        self.model.add(rows)

    def step(self, random, ends):
        self.code += 1
        return random_step(random, self.code, ends, self.reward_shape)

    def cut(self, random, _):
        self.state = self.replay.cut(self.state)
        self.model.cut()

    def update(self, random, _):
        """Ids around the newest: live, dead, stale or never given."""
        offsets = random.integers(-self.replay.capacity - 3, 3, DRAWS)
        self.update_ids((self.model.next_id + offsets) % 2**32, random)

    def update_drawn(self, random, _):
        key = jax.random.key(int(random.integers(99)))
        self.update_ids(self.replay.sample(self.state, key, DRAWS).ids, random)

    def update_ids(self, ids, random):
        ids = np.asarray(ids).astype(np.uint32)
        priorities = random.choice([0.0, 0.5, 2.0, 7.0, np.nan], DRAWS).astype(np.float32)
        self.state = self.replay.update_priorities(self.state, ids, priorities)
        if not self.uniform:
            self.model.update_priorities(ids, priorities)

    def check(self, seed):
        state, model = self.state, self.model
        assert int(state.next_id) == model.next_id
        assert int(self.replay.size(state)) == model.size
        assert int(state.stored) == model.stored
        leaves = np.asarray(state.tree.leaves).ravel()[: model.capacity]
        np.testing.assert_allclose(leaves, model.leaves, rtol=2e-5)
        if not self.uniform:
            assert float(state.max_priority) == np.float32(model.max_priority)
            assert (int(state.rejected), int(state.stale)) == (model.rejected, model.stale)
        self.check_draws(seed)

    def check_draws(self, seed):
        sample = self.replay.sample(self.state, jax.random.key(seed), DRAWS)
        ids = np.asarray(sample.ids)
        if self.model.size == 0:
            assert (ids == NO_ID).all()
            assert not np.any(sample.probabilities)
            assert not np.any(sample.weights)
            return
        assert all(self.model.is_live(i) for i in ids)
        expected = self.model.probabilities(ids)
        np.testing.assert_allclose(sample.probabilities, expected, rtol=5e-5)
        self.check_items(sample.items, ids)
        every = np.array(list(self.model.ids.values()), np.uint32)
        every = np.resize(every, self.replay.capacity)
        expected = self.model.probabilities(every)
        np.testing.assert_allclose(
            self.replay.probabilities(self.state, every), expected, rtol=5e-5
        )
        self.check_items(self.replay.get(self.state, every), every)

    def check_items(self, items, ids):
        """Every live one of the items is what the reference draws of its id."""
        items = jax.tree.map(np.asarray, items)
        place_of = {self.model.id_of(place): place for place in self.model.starts}
        for row, i in enumerate(ids.tolist()):
            if i in place_of:
                found = jax.tree.map(lambda array, row=row: array[row], items)
                self.check_item(found, self.model.draw(place_of[i], self.discount()))

    def discount(self):
        return float(self.state.discount) if hasattr(self.view, "discount") else None

    def check_item(self, found, expected):
        if hasattr(self.view, "length"):
            return check_sequence(found, expected)
        np.testing.assert_allclose(found.reward, expected["reward"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found.discount, expected["discount"], rtol=1e-5)
        assert found.action == expected["action"]
        same_leaves(found.extras, expected["extras"])
        same_leaves(found.observation, expected["observation"])
        if expected["next_observation"] is not None:
            same_leaves(found.next_observation, expected["next_observation"])


def check_sequence(found, expected):
    np.testing.assert_array_equal(found.mask, expected["mask"])
    np.testing.assert_array_equal(found.first, expected["first"])
    steps, given = found.steps, expected["steps"]
    truncated = [s.truncated or cut for s, cut in zip(given, expected["cut"], strict=True)]
    np.testing.assert_array_equal(steps.truncated, truncated)
    np.testing.assert_array_equal(steps.terminated, [s.terminated for s in given])
    np.testing.assert_array_equal(steps.action, [s.action for s in given])
    np.testing.assert_array_equal(steps.reward, [s.reward for s in given])
    same_leaves(steps.extras, {"h": np.array([s.extras["h"] for s in given])})
    for name, leaf in steps.observation.items():
        np.testing.assert_array_equal(leaf, [s.observation[name] for s in given])


def same_leaves(found, expected):
    assert found.keys() == expected.keys()
    for name, leaf in expected.items():
        assert found[name].dtype == leaf.dtype
        np.testing.assert_array_equal(found[name], leaf)


def make(view, rows, uniform=False):
    capacity = rows * view.num_envs
    if uniform:
        return UniformReplay(capacity, view=view)
    return PrioritizedReplay(capacity, alpha=0.7, epsilon=1e-3, view=view)
