"""Random lives of a prioritized replay, and the check of each moment against the reference."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from tests.helpers.reference import NO_ID, ReferenceReplay

PRIORITIES = [0.0, 1e-40, 1e-9, 0.5, 1.0, 2.9, 1e9, 3e38, np.nan, np.inf, -1.0]
UPDATES = 6  # rows per update, and
DRAWS = 8  # per sample: one shape, so one compilation per replay
SUBNORMAL = 2.0**-126  # below it a float32 may count as 0

masks = st.lists(st.booleans(), min_size=UPDATES, max_size=UPDATES)
priorities = st.lists(st.sampled_from(PRIORITIES), min_size=UPDATES, max_size=UPDATES)
offsets = st.lists(st.integers(-25, 3), min_size=UPDATES, max_size=UPDATES)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.none()),
        st.tuples(st.just("add with"), priorities, masks),
        st.tuples(st.just("update"), offsets, priorities, masks),
        st.tuples(st.just("update drawn"), priorities, masks),
        st.tuples(st.just("reset"), st.sampled_from(PRIORITIES)),
    ),
    min_size=1,
    max_size=8,
)


class Life:
    """One replay and its reference, moved in step."""

    def __init__(self, replay, next_id=0, alpha=None):
        alpha = replay.alpha if alpha is None else alpha
        self.replay, self.beta, self.clock = replay, 0.7, 0
        self.state = replay.init({"x": jnp.int32(0)}, alpha=alpha)
        self.state = self.state._replace(next_id=jnp.uint32(next_id))
        self.model = ReferenceReplay(
            replay.capacity, float(np.float32(alpha)), replay.epsilon, replay.normalize, next_id
        )

    def do(self, operation):
        name, *arguments = operation
        getattr(self, name.replace(" ", "_"))(*arguments)
        self.check()

    def rows(self):
        """Distinct items, as many as fit one add."""
        count = min(self.replay.capacity, UPDATES)
        self.clock += count
        return np.arange(self.clock - count, self.clock, dtype=np.int32)

    def add(self, _):
        rows = self.rows()
        self.state = self.replay.add(self.state, {"x": rows})
        self.model.add(rows)

    def add_with(self, priorities, mask):
        rows = self.rows()
        given = np.array(priorities[: len(rows)], np.float32), np.array(mask[: len(rows)])
        self.state = self.replay.add(self.state, {"x": rows}, priorities=given[0], mask=given[1])
        self.model.add(rows, *given)

    def update(self, offsets, priorities, mask):
        """Ids around the newest: live, stale, twice in a row, or never given."""
        ids = [(self.model.next_id + offset) % 2**32 for offset in offsets]
        self.update_ids(ids, priorities, mask)

    def update_drawn(self, priorities, mask):
        self.update_ids(self.sample().ids[:UPDATES], priorities, mask)

    def update_ids(self, ids, priorities, mask):
        ids = np.array(ids, np.uint32)
        given = np.array(priorities, np.float32), np.array(mask)
        self.state = self.replay.update_priorities(self.state, ids, given[0], mask=given[1])
        self.model.update_priorities(ids, *given)

    def reset(self, priority):
        self.state = self.replay.reset_priorities(self.state, np.float32(priority))
        self.model.reset_priorities(float(np.float32(priority)))

    def sample(self):
        key = jax.random.key(self.clock)
        return self.replay.sample(self.state, key, DRAWS, beta=self.beta)

    def check(self):
        state, model = self.state, self.model
        assert int(state.next_id) == model.next_id
        assert int(self.replay.size(state)) == model.size
        largest = np.float32(model.max_priority)
        np.testing.assert_allclose(state.max_priority, largest, rtol=0, atol=SUBNORMAL)
        assert (int(state.rejected), int(state.stale)) == (model.rejected, model.stale)
        leaves = np.asarray(state.tree.leaves).ravel()[: model.capacity]
        np.testing.assert_allclose(leaves, model.leaves, rtol=2e-5)
        self.check_sample()

    def check_sample(self):
        sample, model = self.sample(), self.model
        if model.size == 0:
            assert (np.asarray(sample.ids) == NO_ID).all()
            assert not np.any(sample.probabilities)
            assert not np.any(sample.weights)
            return
        assert all(model.is_live(i) for i in np.asarray(sample.ids))
        stored = [model.items[int(i) % model.capacity] for i in np.asarray(sample.ids)]
        np.testing.assert_array_equal(sample.items["x"], stored)
        expected = model.probabilities(sample.ids)
        np.testing.assert_allclose(sample.probabilities, expected, rtol=5e-5, atol=1e-37)
        found = self.replay.probabilities(self.state, sample.ids)
        np.testing.assert_allclose(found, expected, rtol=5e-5, atol=1e-37)
        weights = model.weights(sample.ids, self.beta)
        np.testing.assert_allclose(sample.weights, weights, rtol=2e-4, atol=1e-37)
