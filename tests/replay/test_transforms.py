"""jit, vmap, scan, donation and x64: the same meaning, in place, traced once."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxper import Items, PrioritizedReplay, TimeStep, Transitions, UniformReplay, sum_tree
from tests.helpers.random_lives import Life
from tests.helpers.training_step import (
    ITEM,
    STEP,
    add,
    add_first,
    init,
    learn,
    learn_first,
    random_steps,
)

CAPACITY = 100
REPLAYS = [
    PrioritizedReplay(CAPACITY),
    PrioritizedReplay(CAPACITY, normalize="buffer", strategy="iid"),
    UniformReplay(CAPACITY),
]
CASES = [REPLAYS[0], pytest.param(REPLAYS[1], marks=pytest.mark.slow), REPLAYS[2]]


@pytest.mark.parametrize("replay", CASES, ids=repr)
def test_scan_is_a_loop(replay):
    keys = jax.random.split(jax.random.key(0), 20)
    step = jax.jit(add_first)
    state, outputs = replay.init(ITEM), []
    for key in keys:
        state, output = step(replay, state, key)
        outputs.append(output)
    scanned = jax.lax.scan(lambda s, key: add_first(replay, s, key), init(replay), keys)
    chex.assert_trees_all_close(scanned, (state, jnp.stack(outputs)), rtol=1e-5)


@pytest.mark.parametrize("replay", CASES, ids=repr)
def test_vmap_is_a_loop_also_with_alpha_swept(replay):
    alphas = jnp.array([0.0, 0.5, 1.0])
    keys = jax.random.split(jax.random.key(1), 3)

    def run(alpha, key):
        state = replay.init(ITEM, alpha=alpha)
        keys = jax.random.split(key, 20)
        return jax.lax.scan(lambda s, key: add_first(replay, s, key), state, keys)

    together = jax.jit(jax.vmap(run))(alphas, keys)
    alone = [jax.jit(run)(alpha, key) for alpha, key in zip(alphas, keys, strict=True)]
    chex.assert_trees_all_close(together, jax.tree.map(lambda *a: jnp.stack(a), *alone), rtol=1e-5)


def test_equal_configs_are_traced_once():
    step = jax.jit(chex.assert_max_traces(add_first, n=1))
    for _ in range(3):
        replay = PrioritizedReplay(CAPACITY, alpha=0.5)
        step(replay, replay.init(ITEM), jax.random.key(0))
    for alpha in (0.1, 0.9):
        step(replay, replay.init(ITEM, alpha=alpha), jax.random.key(0))


@pytest.mark.parametrize("replay", [REPLAYS[0], REPLAYS[2]], ids=repr)
def test_a_key_used_twice_is_noticed(replay):
    state, key = replay.init(ITEM), jax.random.key(0)
    with jax.debug_key_reuse(True):
        replay.sample(state, key, 3)
        with pytest.raises(jax.errors.KeyReuseError):
            replay.sample(state, key, 3)


@pytest.mark.slow
@pytest.mark.parametrize("view", [Items(), Transitions(num_envs=4)], ids=str)
def test_x64_changes_nothing_where_a_cpu_keeps_to_one_thread(view):
    replay, key = PrioritizedReplay(2**17, normalize="buffer", view=view), jax.random.key(0)
    state = add(replay, init(replay), key)
    steps = random_steps(key)
    rows = (
        steps
        if isinstance(view, Transitions)
        else {"x": steps.observation[0], "step": np.arange(4, dtype=np.int32)}
    )

    def life():
        added = replay.add(state, rows)
        sample = replay.sample(added, key, 100)
        return replay.update_priorities(added, sample.ids, sample.weights), sample

    plain = life()
    with jax.enable_x64(True):
        chex.assert_trees_all_equal(life(), plain, strict=True)


def test_a_draw_is_a_constant_to_a_gradient():
    replay = REPLAYS[0]
    state = add(replay, replay.init(ITEM), jax.random.key(0))

    def loss(factor):
        ids = jnp.arange(12, dtype=jnp.uint32)
        updated = replay.update_priorities(state, ids, factor * jnp.arange(1.0, 13.0))
        sample = replay.sample(updated, jax.random.key(1), 8)
        return jnp.sum(factor * sample.weights * sample.probabilities), sample

    slope, sample = jax.grad(loss, has_aux=True)(2.0)
    np.testing.assert_allclose(slope, np.sum(sample.weights * sample.probabilities), rtol=1e-6)


@pytest.mark.parametrize(
    "capacity",
    [pytest.param(64, marks=pytest.mark.slow), pytest.param(2**14, id="read on one thread")],
)
def test_what_a_stream_stores_is_a_constant_to_a_gradient(capacity):
    replay = PrioritizedReplay(capacity, view=Transitions(num_envs=4))
    state = replay.init(STEP)

    def loss(factor):
        steps = random_steps(jax.random.key(0))
        steps = steps._replace(observation=factor * steps.observation)
        added = replay.add(state, steps)
        items = replay.get(added, jnp.arange(4, dtype=jnp.uint32))
        return jnp.sum(factor * items.observation), items

    slope, items = jax.grad(loss, has_aux=True)(2.0)
    np.testing.assert_allclose(slope, jnp.sum(items.observation), rtol=1e-6)


@pytest.mark.parametrize("numbers", [255, 256], ids=["in a row of words", "of its own array"])
@pytest.mark.parametrize("replay", [PrioritizedReplay(12), UniformReplay(12)], ids=repr)
def test_what_is_stored_is_a_constant_to_a_gradient(replay, numbers):
    state = replay.init(jnp.zeros(numbers))

    def loss(factor):
        added = replay.add(state, factor * jnp.ones((12, numbers)))
        drawn = replay.sample(added, jax.random.key(0), 4).items
        return jnp.mean(factor * drawn) + jnp.mean(factor * replay.get(added, jnp.arange(3)))

    np.testing.assert_allclose(jax.grad(loss)(2.0), 4.0, rtol=1e-5)


def test_statistics_under_debug_infs():
    with jax.debug_infs(True):
        assert int(REPLAYS[0].stats(REPLAYS[0].init(ITEM)).size) == 0


def test_beta_may_be_traced():
    replay = REPLAYS[0]
    state = add(replay, replay.init(ITEM), jax.random.key(0))
    state, _ = learn(replay, state, jax.random.key(1))
    weights = jax.vmap(lambda beta: replay.sample(state, jax.random.key(2), 8, beta=beta).weights)
    found = weights(jnp.array([0.0, 1.0]))
    np.testing.assert_array_equal(found[0], 1.0)
    assert float(found[1].min()) < 0.99


LARGE = 2**14  # enough for a level of the tree that is written row by row
MANY = 16
SIZED = [PrioritizedReplay(LARGE, normalize="buffer"), UniformReplay(LARGE)]


def temporary_bytes(function, replay, state):
    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    compiled = jax.jit(function, donate_argnums=1).lower(replay, state, key).compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    assert memory.alias_size_in_bytes > 0.99 * size  # all but small upper levels, rebuilt whole
    return memory.temp_size_in_bytes


def in_a_loop(step):
    def run(replay, state, key):
        keys = jax.random.split(key, 10)
        return jax.lax.scan(lambda state, key: step(replay, state, key), state, keys)

    return run


def side_by_side(step):
    def run(replay, states, key):
        keys = jax.random.split(key, MANY)
        return jax.vmap(lambda state, key: step(replay, state, key))(states, keys)

    return run


@pytest.mark.slow
@pytest.mark.parametrize("step", [add_first, learn_first])
@pytest.mark.parametrize("replay", SIZED, ids=repr)
def test_nothing_is_copied_under_donation(replay, step):
    """Temporary memory is that of the batch, far below storage or tree: alone, in a loop, vmapped.

    The leaves of the tree take 66 kB here and the storage 393 kB; vmapped 16 times that.
    """
    if isinstance(replay, UniformReplay) and step is learn_first:
        pytest.skip("XLA copies: nothing orders the add after a draw that changed no state")
    state = jax.eval_shape(lambda: init(replay))
    states = jax.eval_shape(jax.vmap(lambda _: init(replay)), jnp.arange(MANY))
    assert temporary_bytes(step, replay, state) < 20_000
    assert temporary_bytes(in_a_loop(step), replay, state) < 20_000
    assert temporary_bytes(side_by_side(step), replay, states) < MANY * 20_000
    assert temporary_bytes(in_a_loop(side_by_side(step)), replay, states) < MANY * 20_000


def test_the_highest_levels_are_not_copied_under_vmap():
    """Each takes 16 kB at most: so much is beneath what the test above sees."""
    replay, replays = PrioritizedReplay(2**20, normalize="buffer"), 4
    states = jax.eval_shape(jax.vmap(lambda _: init(replay)), jnp.arange(replays))

    def step(replay, states, key):
        keys = jax.random.split(key, replays)
        return jax.vmap(lambda state, key: add_first(replay, state, key))(states, keys)

    assert temporary_bytes(in_a_loop(step), replay, states) < 80_000


@pytest.mark.parametrize(
    "replay", [REPLAYS[0], UniformReplay(4 * CAPACITY, view=Transitions(num_envs=4))], ids=repr
)
def test_replays_of_a_shard_draw_with_one_key(replay):
    """Within `shard_map` the key is the same for all shards, what is drawn is not."""
    spec = ITEM if isinstance(replay.view, Items) else STEP
    states = jax.vmap(lambda _: replay.init(spec))(jnp.arange(4))

    def draw(states, key):
        return jax.vmap(lambda state: replay.sample(state, key, 8).weights)(states)

    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    rows = jax.P("data")
    drawn = jax.shard_map(draw, mesh=mesh, in_specs=(rows, jax.P()), out_specs=rows)
    assert drawn(states, jax.random.key(0)).shape == (4, 8)


def test_a_fresh_state_can_be_donated():
    for replay in REPLAYS:
        state = replay.init(ITEM, alpha=jnp.float32(0.5))
        state = jax.jit(add, donate_argnums=1)(replay, state, jax.random.key(0))
        assert int(replay.size(state)) == 11


def test_alpha_of_the_caller_survives_donation():
    alpha = jnp.float32(0.5)
    state = REPLAYS[0].init(ITEM, alpha=alpha)
    jax.jit(add, donate_argnums=1)(REPLAYS[0], state, jax.random.key(0))
    assert float(alpha) == 0.5


def test_x64_changes_nothing():
    """The same life with 64-bit types enabled: same dtypes, same reference."""
    replay = PrioritizedReplay(17, epsilon=0.0, normalize="buffer")
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(replay.init(ITEM))]
    operations = [
        ("add", None),
        ("add with", [0.5, 1e9, np.nan, 2.0, 0.0, 3e38], [True, True, True, False, True, True]),
        ("update", [-1, -2, -2, -9, 3, -4], [5.0, 1.0, 2.0, -1.0, 3.0, 1e-40], [True] * 6),
        ("update drawn", [0.5] * 6, [True] * 6),
        ("add", None),
        ("add", None),
    ]
    with jax.enable_x64(True):
        life = Life(replay, next_id=(2**32 - 1) // 17 * 17 - 8)
        for operation in operations:
            life.do(operation)
        state, sample = life.state, life.sample()
        found = replay.sample(state, jax.random.key(0), 4, beta=np.float64(0.5))
        rows = {"x": np.ones((2, 5), np.float32), "step": np.arange(2, dtype=np.int32)}
        other = replay.add(replay.init(ITEM), rows, priorities=np.ones(2))
        uniform = UniformReplay(17).sample(UniformReplay(17).init(ITEM), jax.random.key(0), 4)
    assert [leaf.dtype for leaf in jax.tree.leaves(other)] == dtypes
    for drawn in (sample, found, uniform):
        kinds = [drawn.ids.dtype, drawn.probabilities.dtype, drawn.weights.dtype]
        assert kinds == [jnp.uint32, jnp.float32, jnp.float32]


@pytest.mark.parametrize("kind", [PrioritizedReplay, UniformReplay])
def test_states_are_constants_under_differentiation(kind):
    replay = kind(8, view=Transitions(num_envs=1, n_step=2))
    flag = jnp.zeros((4, 1), bool)
    steps = TimeStep(jnp.ones((4, 1, 2)), flag.astype(jnp.int32), jnp.ones((4, 1)), flag, flag)
    state = replay.init(jax.tree.map(lambda array: array[0, 0], steps))
    state = replay.add(state, steps)

    def add_rewards(discount):
        changed = state._replace(discount=discount)
        return jnp.sum(replay.sample(changed, jax.random.key(0), 4).items.reward)

    assert add_rewards(jnp.float32(0.5)) == 6
    assert jax.grad(add_rewards)(jnp.float32(0.5)) == 0


def test_a_reset_is_a_constant_under_differentiation():
    replay = PrioritizedReplay(4)
    state = replay.add(replay.init(jnp.int32(0)), jnp.arange(3))

    def reset(priority):
        state_after = replay.reset_priorities(state, priority)
        return state_after.max_priority + sum_tree.total(state_after.tree)

    assert jax.grad(reset)(jnp.float32(2)) == 0
