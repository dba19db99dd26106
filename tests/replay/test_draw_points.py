"""Where the draws of a batch fall."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxper import PrioritizedReplay, sum_tree
from jaxper.lowering import exact_products
from jaxper.replay import draw_points
from jaxper.tree import core


@pytest.mark.parametrize("count", [1, 2, 3, 10, 256, 1000])
def test_spread_order_deals_each_slice_once_and_spreads_each_part(count):
    order = draw_points.make_spread_order(count)
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    for parts in (2, 4, 8):
        size = count // parts
        if size < 4:
            continue
        for start in range(0, count - size + 1, size):
            part = np.sort(order[start : start + size])
            gaps = np.diff(np.concatenate([part, [part[0] + count]]))
            assert gaps.max() <= 3 * count / size


EQUAL = [(256, 256), (2560, 256), (1000, 10), (21, 7), (12, 3), (49 * 300, 49), (1003, 17)]


@pytest.mark.parametrize(("items", "batch_size"), EQUAL)
def test_no_draw_leaves_its_slice(items, batch_size):
    """Equal leaves whose edges are the slices' edges, and random words that end in the corners."""
    tree = sum_tree.init(items)
    tree = sum_tree.set(tree, jnp.arange(items), jnp.ones(items))
    order = draw_points.make_spread_order(batch_size)

    @jax.jit
    def found(tree, coarse, fine):
        total = sum_tree.total(tree)
        places = draw_points.place_in_slices(order, batch_size, total, coarse, fine)
        return core.descend(tree, *places)[0]

    corners = (
        (0, 2**31 - 1, 2**32 - 2**9, 2**32 - 1),
        (0, 2**31, 2**32 - 2**26, 2**32 - 2**8, 2**32 - 1),
    )
    for words in itertools.product(*corners):
        slots = found(tree, *(np.full(batch_size, word, np.uint32) for word in words))
        np.testing.assert_array_equal(np.asarray(slots) // (items // batch_size), order)


@pytest.mark.parametrize("slices", [1, 7, 63, 255, 256, 4097])
def test_slices_just_reach_the_total(slices):
    random = np.random.default_rng(slices)
    total = np.append(random.integers(1, 1000, 1000), random.lognormal(size=1000, sigma=9))
    total = total.astype(np.float32)
    width = np.asarray(jax.jit(lambda total: exact_products.divide_up(total, slices))(total))
    narrower = np.nextafter(width, np.float32(0))
    assert (width.astype(np.float64) * slices >= total).all()
    assert (narrower.astype(np.float64) * slices < total).all()


@pytest.mark.parametrize("slices", [1, 7, 256, 4097])
@pytest.mark.parametrize("total", [1e7, 2**23 + 2**14, 0.3])
def test_places_are_not_rounded(slices, total):
    """floor((step + fine / 2^32) m) of a width m 2^e, in whole numbers."""
    order, random = draw_points.make_spread_order(slices)[:1000], np.random.default_rng(slices)
    coarse, fine = random.integers(0, 2**32, (2, len(order)), np.uint32)
    mass, rest = draw_points.place_in_slices(order, slices, jnp.float32(total), coarse, fine)
    width = np.asarray(exact_products.divide_up(jnp.float32(total), slices), np.float64)
    fraction, exponent = np.frexp(width)
    bits, factor = draw_points._step_bits(slices), int(fraction * 2**24)
    steps = order.astype(object) * 2**bits + (coarse >> (32 - bits))
    places = steps * factor + (fine.astype(object) * factor >> 32)
    expected = places.astype(np.float64) * 2.0 ** (exponent - 24 - bits)
    np.testing.assert_array_equal(np.asarray(mass, np.float64) + np.asarray(rest), expected)


def test_steps_leave_no_gap_that_a_leaf_falls_into():
    """Rounded to float32, no step of this total would end in the third leaf, which is 0.75 wide."""
    leaves = np.array([8390369, 2.0078125, 0.75, 14620.2421875], np.float32)
    tree = sum_tree.set(sum_tree.init(4), jnp.arange(4), leaves)
    steps = 2**22 * leaves[0].astype(int) // leaves.sum().astype(int) + np.arange(-4, 9)
    fine = np.linspace(0, 2**32, 1000, endpoint=False).astype(np.uint32)
    coarse, fine = (array.ravel() for array in np.meshgrid(steps.astype(np.uint32) << 10, fine))
    places = draw_points.place_in_slices(np.zeros(len(fine)), 1, sum_tree.total(tree), coarse, fine)
    found = np.bincount(core.descend(tree, *places)[0], minlength=4)
    drawn = found[1:3] / 1000 * leaves.sum() / 2**22
    np.testing.assert_allclose(drawn, leaves[1:3], rtol=0.01)


@pytest.mark.parametrize(("items", "batch_size"), [(256, 256), (21, 7)])
def test_one_draw_from_each_slice(items, batch_size):
    replay = PrioritizedReplay(items, alpha=1.0, epsilon=0.0)
    state = replay.add(replay.init(jnp.zeros(())), jnp.zeros(items))
    keys = jax.random.split(jax.random.key(0), 200_000 // batch_size)
    ids = jax.vmap(lambda key: replay.sample(state, key, batch_size).ids)(keys)
    slices = np.asarray(ids) // (items // batch_size)
    assert (slices == draw_points.make_spread_order(batch_size)).all()


@pytest.mark.parametrize("strategy", ["stratified", "iid"])
def test_places_are_finer_than_one_float32(strategy):
    """All of 2^26 equal parts come up: their last four bits are uniform."""
    mass, fine = draw_points.draw(jax.random.key(0), 2**14, jnp.float32(2**26), strategy)
    parts = np.floor(np.asarray(mass, np.float64) + np.asarray(fine, np.float64)) % 16
    assert stats.chisquare(np.bincount(parts.astype(int), minlength=16)).pvalue > 1e-4


@pytest.mark.parametrize("strategy", ["stratified", "iid"])
@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_masses_fill_the_total(strategy, batch_size):
    keys = jax.random.split(jax.random.key(1), 3000 // batch_size)
    draw = jax.vmap(lambda key: draw_points.draw(key, batch_size, jnp.float32(5), strategy))
    mass, fine = jax.jit(draw)(keys)
    place = np.sort(np.asarray(mass, np.float64).ravel() + np.asarray(fine, np.float64).ravel()) / 5
    distance = np.abs(place - (np.arange(place.size) + 0.5) / place.size).max()
    assert place[0] >= 0
    assert place[-1] < 1
    assert distance < 1.95 / place.size**0.5  # Kolmogorov-Smirnov at 0.1 percent


def test_iid_draws_are_independent_and_stratified_ones_are_not():
    keys = jax.random.split(jax.random.key(2), 2000)

    def spread(strategy):
        mass = jax.vmap(lambda key: draw_points.draw(key, 16, jnp.float32(1), strategy)[0])(keys)
        return float(jnp.var(jnp.mean(mass, axis=1)))

    assert spread("iid") == pytest.approx(1 / 12 / 16, rel=0.2)
    assert spread("stratified") == pytest.approx(1 / 12 / 16**3, rel=0.2)


@pytest.mark.parametrize("count", [0, 1, 3, 7, 10**6, 2**31 - 1])
def test_integers_are_the_high_words_of_exact_products(count):
    key, size = jax.random.key(3), 1000
    drawn = jax.jit(draw_points.draw_below, static_argnums=1)(key, size, jnp.int32(count))
    coarse, fine = (
        np.asarray(draw_points._random_words(key, 2 * size)).reshape(2, size).astype(object)
    )
    assert (np.asarray(drawn) == (coarse * 2**32 + fine) * count >> 64).all()


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg", "unsafe_rbg"])
@pytest.mark.parametrize("count", [1, 7, 4097])
def test_no_random_word_is_drawn_twice(impl, count):
    """The new keys of some generators repeat words: those must not be taken for random ones."""
    words = np.asarray(draw_points._random_words(jax.random.key(1, impl=impl), count))
    assert (words.shape, words.dtype) == ((count,), np.uint32)
    assert len(np.unique(words)) == count
