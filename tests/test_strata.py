"""Where the draws of a batch fall."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import PrioritizedReplay, strata


@pytest.mark.parametrize("count", [1, 2, 3, 10, 256, 1000])
def test_spread_order_deals_each_slice_once_and_spreads_each_part(count):
    order = strata.spread_order(count)
    np.testing.assert_array_equal(np.sort(order), np.arange(count))
    for parts in (2, 4, 8):
        size = count // parts
        if size < 4:
            continue
        for start in range(0, count - size + 1, size):
            part = np.sort(order[start : start + size])
            gaps = np.diff(np.concatenate([part, [part[0] + count]]))
            assert gaps.max() <= 3 * count / size


@pytest.mark.parametrize(("items", "batch_size"), [(256, 256), (1000, 10), (21, 7), (12, 3)])
def test_one_draw_from_each_slice(items, batch_size):
    """Equal leaves whose edges are the slices' edges: a draw that leaks is an item too many."""
    replay = PrioritizedReplay(items, alpha=1.0, epsilon=0.0)
    state = replay.add(replay.init(jnp.zeros(())), jnp.zeros(items))
    keys = jax.random.split(jax.random.key(0), 400_000 // batch_size)
    ids = jax.vmap(lambda key: replay.sample(state, key, batch_size).ids)(keys)
    slices = np.asarray(ids) // (items // batch_size)
    assert (slices == strata.spread_order(batch_size)).all()


@pytest.mark.parametrize("strategy", strata.STRATEGIES)
@pytest.mark.parametrize("batch_size", [1, 3, 256])
def test_masses_fill_the_total(strategy, batch_size):
    keys = jax.random.split(jax.random.key(1), 3000 // batch_size)
    mass, fine = jax.vmap(lambda key: strata.draw(key, batch_size, jnp.float32(5), strategy))(keys)
    place = np.sort(np.asarray(mass, np.float64).ravel() + np.asarray(fine, np.float64).ravel()) / 5
    distance = np.abs(place - (np.arange(place.size) + 0.5) / place.size).max()
    assert place[0] >= 0
    assert place[-1] < 1
    assert distance < 1.95 / place.size**0.5  # Kolmogorov-Smirnov at 0.1 percent


def test_iid_draws_are_independent_and_stratified_ones_are_not():
    keys = jax.random.split(jax.random.key(2), 2000)

    def spread(strategy):
        mass = jax.vmap(lambda key: strata.draw(key, 16, jnp.float32(1), strategy)[0])(keys)
        return float(jnp.var(jnp.mean(mass, axis=1)))

    assert spread("iid") == pytest.approx(1 / 12 / 16, rel=0.2)
    assert spread("stratified") == pytest.approx(1 / 12 / 16**3, rel=0.2)
