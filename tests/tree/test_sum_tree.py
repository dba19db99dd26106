"""The sum tree against NumPy, and what float32 does to careless ones."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxper import sum_tree
from jaxper.tree import core, last_writes
from tests.helpers import reference

CAPACITIES = [1, 2, 3, 7, 8, 17, 1000]
ROWS = 12  # one shape, so one compilation per capacity


def tree_of(leaves, *, minimum=False):
    leaves = np.asarray(leaves, np.float32)
    tree = sum_tree.init(len(leaves), minimum=minimum)
    return sum_tree.set(tree, np.arange(len(leaves)), leaves)


def assert_consistent(tree, leaves):
    """Everything the tree knows follows from `leaves`."""
    positive = leaves[leaves > 0]
    np.testing.assert_array_equal(sum_tree.get(tree, np.arange(len(leaves))), leaves)
    np.testing.assert_allclose(sum_tree.total(tree), leaves.sum(dtype=np.float64), rtol=1e-6)
    smallest = positive.min() if positive.size else np.inf
    assert float(sum_tree.minimum(tree)) == smallest
    assert int(tree.live) == positive.size
    chex.assert_trees_all_equal(tree, core.with_leaves(tree, tree.leaves))


@pytest.mark.parametrize("capacity", CAPACITIES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_set_follows_numpy(capacity, data):
    """The last of equal indices counts; indices out of range are dropped."""
    tree, leaves = sum_tree.init(capacity, minimum=True), np.zeros(capacity, np.float32)
    for _ in range(3):
        beyond = st.sampled_from([-(2**31), -1, capacity, capacity + 1, 2**31 - 1])
        index = st.one_of(st.integers(0, capacity - 1), beyond)
        indices = data.draw(st.lists(index, min_size=ROWS, max_size=ROWS))
        value = st.one_of(st.just(0.0), st.floats(2.0**-100, 2.0**100, width=32))
        values = data.draw(st.lists(value, min_size=ROWS, max_size=ROWS))
        tree = sum_tree.set(tree, np.array(indices, np.int32), np.array(values, np.float32))
        for i, value in zip(indices, values, strict=True):
            if 0 <= i < capacity:
                leaves[i] = value
        assert_consistent(tree, leaves)


def test_rows_are_told_apart_beyond_what_float32_counts():
    tree = tree_of([1.0, 2.0, 3.0])
    indices = np.zeros(2**24 + 2, np.uint32)
    indices[-2:] = 1  # as float32, row 2^24 + 1 would be 2^24 as well
    leaves, last = last_writes.find_last(tree.leaves, jnp.array(indices), tree.live)
    assert np.flatnonzero(last).tolist() == [2**24 - 1, 2**24 + 1]
    assert np.argmin(leaves[0, :3]) == 1  # the largest row number
    assert float(leaves[0, 2]) == 3.0


def test_stored_levels_are_refreshed_row_by_row():
    """2^17 leaves: two levels above the leaves are stored."""
    generator = np.random.default_rng(0)
    leaves = generator.random(2**17).astype(np.float32)
    tree = core.with_leaves(sum_tree.init(2**17, minimum=True), jnp.array(leaves).reshape(-1, 16))
    for _ in range(5):
        indices = generator.integers(0, 2**17, 100)
        indices[50:60] = indices[0]
        values = generator.random(100).astype(np.float32) * (generator.random(100) < 0.7)
        tree = sum_tree.set(tree, indices, values)
        for i, value in zip(indices, values, strict=True):
            leaves[i] = value
        assert_consistent(tree, leaves)


def test_get_outside_is_zero():
    tree = tree_of([1.0, 2.0, 3.0])
    found = sum_tree.get(tree, np.array([[0, 2], [3, -1]]))
    np.testing.assert_array_equal(found, [[1.0, 3.0], [0.0, 0.0]])


@pytest.mark.parametrize("shape", [(), (1,), (2, 2), (0,)])
def test_indices_and_masses_of_any_shape(shape):
    tree = tree_of([1.0, 2.0, 3.0])
    assert sum_tree.get(tree, np.full(shape, 1)).tolist() == np.full(shape, 2.0).tolist()
    assert sum_tree.find(tree, np.full(shape, 1.5)).tolist() == np.full(shape, 1).tolist()
    tree = sum_tree.set(tree, np.full(shape, 1), np.full(shape, 4.0))
    assert float(sum_tree.total(tree)) == (8.0 if np.prod(shape) else 6.0)


def test_sums_do_not_drift():
    """A thousand rewrites over twelve orders of magnitude leave nothing behind."""

    def rewrite(tree, key):
        values = 10.0 ** jax.random.uniform(key, (64,), minval=-6.0, maxval=6.0)
        return sum_tree.set(tree, jax.random.randint(key, (64,), 0, 1000), values), None

    keys = jax.random.split(jax.random.key(0), 1000)
    tree, _ = jax.jit(lambda tree: jax.lax.scan(rewrite, tree, keys))(sum_tree.init(1000))
    chex.assert_trees_all_equal(tree, core.with_leaves(tree, tree.leaves))
    tree = sum_tree.set(tree, jnp.arange(1000), jnp.zeros(1000))
    assert float(sum_tree.total(tree)) == 0.0


@pytest.mark.parametrize("capacity", CAPACITIES)
def test_find_is_exact_on_integers(capacity):
    generator = np.random.default_rng(capacity)
    leaves = generator.integers(0, 5, capacity)
    leaves[generator.integers(capacity)] = 3
    masses = np.arange(0, leaves.sum() + 2, 0.5)
    found = sum_tree.find(tree_of(leaves), masses)
    np.testing.assert_array_equal(found, [reference.find(leaves, mass) for mass in masses])


ADVERSARIAL = {
    "tiny before huge": [1e-9, 1e9, 0.0],
    "tiny after huge": [0.0, 1e9, 1e-9, 0.0],
    "lone first": [5.0] + [0.0] * 40,
    "lone middle": [0.0] * 20 + [1e-30] + [0.0] * 20,
    "lone last": [0.0] * 40 + [3.0],
    "huge gaps": [0.0, 1e9, 0.0, 0.0, 1e-9, 1e9, 0.0, 1e-9] * 40 + [0.0] * 300,
    "largest": [2.0**126 / 20] * 20 + [0.0] * 7,
    "smallest": [2.0**-100] * 20 + [0.0] * 7,
    "thirds": [1 / 3, 0.0, 0.1] * 333 + [0.0],
}


@pytest.mark.parametrize("name", ADVERSARIAL)
def test_find_never_ends_on_a_zero_leaf(name):
    """For masses at every boundary, one float32 off it, at and above the total, and random."""
    leaves = np.array(ADVERSARIAL[name], np.float32)
    tree = tree_of(leaves)
    edges = np.concatenate([[0], np.cumsum(leaves)]).astype(np.float32)
    total = np.float32(sum_tree.total(tree))
    random = np.random.default_rng(0).random(20_000).astype(np.float32) * total
    top = np.array([total, np.nextafter(total, 0), total * 2, np.inf, -1.0, np.nan], np.float32)
    below, above = np.nextafter(edges, np.float32(0)), np.nextafter(edges, np.float32(np.inf))
    masses = np.concatenate([edges, below, above, random, top])
    for low in (None, np.full(masses.shape, 2**32 - 1, np.uint32)):
        found = np.asarray(sum_tree.find(tree, masses, low))
        assert ((found >= 0) & (found < len(leaves))).all()
        assert (leaves[found] > 0).all()
        last = np.flatnonzero(leaves)[-1]
        assert (found[masses >= total] == last).all()


def test_find_follows_the_running_sum_of_random_leaves():
    """In the middle of each leaf's share, where rounding cannot matter."""
    leaves = np.random.default_rng(1).lognormal(size=1000).astype(np.float32)
    edges = np.concatenate([[0], np.cumsum(leaves, dtype=np.float64)])
    found = sum_tree.find(tree_of(leaves), (edges[1:] + edges[:-1]) / 2)
    np.testing.assert_array_equal(found, np.arange(1000))


def test_light_leaves_beside_a_heavy_one_are_found():
    """Their sum does not round away beside it, though each of them does: in the row, and above."""
    light = np.array([2.0**24] + [1.0] * 15, np.float32)
    masses = np.float32(2.0**24) + np.arange(0, 14, 2, dtype=np.float32)
    np.testing.assert_array_equal(sum_tree.find(tree_of(light), masses), np.arange(1, 15, 2))
    groups = np.zeros((16, 16), np.float32)
    groups[:, 3] = light
    found = sum_tree.find(tree_of(groups.ravel()), masses)
    np.testing.assert_array_equal(found, np.arange(1, 15, 2) * 16 + 3)
    low = np.full(masses.shape, 2**31, np.uint32)  # one further up: half of 2^-23 of the total
    np.testing.assert_array_equal(sum_tree.find(tree_of(light), masses, low), np.arange(2, 16, 2))


def test_what_was_found_is_a_constant_to_a_gradient():
    values = jnp.arange(4.0)

    def loss(scale):
        tree = sum_tree.set(sum_tree.init(4), jnp.array([1, 3]), scale * jnp.array([2.0, 1.0]))
        return scale * jnp.sum(values[sum_tree.find(tree, scale * jnp.array([0.0, 1.9, 2.0]))])

    assert float(jax.grad(loss)(1.0)) == 1 + 1 + 3


def test_find_in_an_empty_tree_stays_in_range():
    np.testing.assert_array_equal(sum_tree.find(sum_tree.init(300), np.array([0.0, 1.0])), [0, 0])


@pytest.mark.slow
def test_low_bits_reach_each_of_2_to_the_24_equal_leaves():
    """One float32 uniform has 2^23 values: alone it finds every other leaf only."""
    count, draws = 2**24, 2**17
    leaves = jnp.ones((count // 16, 16), jnp.float32)
    tree = jax.jit(core.with_leaves)(sum_tree.init(count), leaves)
    key, low_key = jax.random.split(jax.random.key(0))
    mass = jax.random.uniform(key, (draws,)) * sum_tree.total(tree)
    coarse = np.asarray(sum_tree.find(tree, mass))
    assert (coarse % 2 == 0).all()
    fine = np.asarray(sum_tree.find(tree, mass, jax.random.bits(low_key, (draws,), jnp.uint32)))
    assert abs((fine % 2).mean() - 0.5) < 5 * 0.5 / draws**0.5
    repeats, expected = draws - len(np.unique(fine)), draws**2 / 2 / count
    assert abs(repeats - expected) < 5 * expected**0.5


def test_bad_arguments():
    tree = sum_tree.init(4)
    with pytest.raises(ValueError, match="capacity must be from 1"):
        sum_tree.init(0)
    with pytest.raises(ValueError, match=r"minimum=True"):
        sum_tree.minimum(tree)
    with pytest.raises(ValueError, match="values must have the shape of indices"):
        sum_tree.set(tree, np.arange(3), np.ones(1))
    with pytest.raises(ValueError, match="low must have the shape of mass"):
        sum_tree.find(tree, np.ones(3), np.ones(1, np.uint32))
    with pytest.raises(ValueError, match="indices must be integers, got float32"):
        sum_tree.set(tree, np.ones(2, np.float32), np.ones(2))
    with pytest.raises(ValueError, match="low must be integers, got float32"):
        sum_tree.find(tree, np.ones(2), np.ones(2, np.float32))
    chex.assert_trees_all_equal(sum_tree.set(tree, np.zeros(0, int), np.zeros(0)), tree)
