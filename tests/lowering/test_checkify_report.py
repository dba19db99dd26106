"""Tests of errors under checkify, wherever the call is, and that nothing is left without it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import checkify
from jax.sharding import AxisType, PartitionSpec

import jaxper
from jaxper.lowering.checkify_report import report


def negatives(numbers):
    return jnp.sum(report(numbers < 0, "a number is negative"))


def over_shards(numbers):
    mesh = jax.make_mesh((1,), ("shards",), axis_types=(AxisType.Auto,))
    rows = PartitionSpec("shards")
    counts = jax.shard_map(
        lambda part: negatives(part)[None], mesh=mesh, in_specs=rows, out_specs=rows
    )
    return counts(numbers)[0]


WAYS = {
    "alone": negatives,
    "jit": jax.jit(negatives),
    "scan": lambda x: jax.lax.scan(lambda total, x: (total + negatives(x), None), 0, x)[0],
    "while": lambda x: jax.lax.fori_loop(0, 2, lambda i, _: negatives(x), 0),
    "cond": lambda x: jax.lax.cond(x[0] > 0, negatives, lambda x: 0, x),
    "vmap": lambda x: jnp.sum(jax.vmap(negatives)(x.reshape(2, 2))),
    "vmap of columns": lambda x: jnp.sum(jax.vmap(negatives, in_axes=1)(x.reshape(2, 2))),
    "vmap of scan": lambda x: jnp.sum(jax.vmap(WAYS["scan"])(x.reshape(2, 2))),
    "remat": jax.checkpoint(negatives),
    "grad": lambda x: jnp.sum(jax.grad(lambda x: jnp.sum(x) * negatives(x))(x)) / 4,
    "shard_map": over_shards,
}


@pytest.mark.parametrize("way", WAYS)
def test_checkify_reports_and_nothing_else_does(way):
    checked = checkify.checkify(jax.jit(WAYS[way]))
    good, bad = jnp.ones(4), jnp.array([1.0, -2.0, 3.0, 4.0])
    assert checked(good)[0].get() is None
    with pytest.raises(checkify.JaxRuntimeError, match="a number is negative"):
        checked(bad)[0].throw()
    assert int(jax.jit(WAYS[way])(bad)) == 1
    assert int(WAYS[way](bad)) == 1


def test_each_of_a_batch_of_programs_has_an_error_of_its_own():
    error, _ = jax.vmap(checkify.checkify(negatives))(jnp.array([[1.0], [-1.0], [2.0]]))
    assert "mapped index 1" in str(error)
    assert "mapped index 0" not in str(error)


def test_a_program_has_no_effect_that_would_slow_its_start():
    replay = jaxper.PrioritizedReplay(8)
    state = replay.init(np.float32(0))
    rows = jnp.ones(4)
    for program in (
        lambda state: replay.add(state, rows, priorities=rows),
        lambda state: replay.update_priorities(state, jnp.arange(4), rows),
        lambda state: replay.reset_priorities(state, 1.0),
    ):
        assert not jax.make_jaxpr(program)(state).effects
