"""What the benchmarks stand on: the runs do their work, and compiled text is counted aright."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import streams, uniform
from benchmarks.contenders import jaxper as jaxper_contender
from benchmarks.contenders import numpy as numpy_contender
from benchmarks.harness import compiled_loop, h200, tables, timing
from benchmarks.harness.work import OPERATIONS, VARIANTS, Cell, Contender, make_work

TEXT = """
%body.1 (p: (f32[4])) -> (f32[4]) {
  %p = (f32[4]{0}) parameter(0)
  ROOT %fusion.9 = (f32[4]{0}, /*index=1*/f32[4]{0}) fusion(%p), kind=kLoop
}

%fused (q: f32[4]) -> f32[4] {
  ROOT %copy.0 = f32[400]{0} copy(%q)
}

ENTRY %main (a: f32[4]) -> f32[4] {
  %a = f32[4]{0} parameter(0)
  %copy.1 = f32[1024,16]{1,0:T(8)} copy(%a)
  %while.2 = (f32[4]{0}) while(%a), condition=%c, body=%body.1
  ROOT %gte = f32[4]{0} get-tuple-element(%while.2), index=0
}
"""


def test_operations_of_a_computation_and_their_bytes():
    found = h200.list_operations(TEXT, "ENTRY")
    assert found == [
        ("parameter", 16),
        ("copy", 65536),
        ("while", 16),
        ("get-tuple-element", 16),
    ]
    assert h200.list_operations(TEXT, "%body.1") == [("parameter", 16), ("fusion", 32)]
    assert h200.find_loop_bodies(TEXT) == ["%body.1"]


@pytest.mark.parametrize(
    "module", [jaxper_contender, numpy_contender], ids=lambda module: module.__name__
)
def test_contenders_run(module):
    (contender,) = module.list_contenders()
    runs = contender.make_loops(make_work(capacity=128, batch_size=8, add_size=4))
    times = timing.time_in_turn({name: runs[name] for name in OPERATIONS}, rounds=2, seconds=1e-4)
    assert all((times[name] > 0).all() and times[name].shape == (2,) for name in OPERATIONS)


def test_uniform_contenders_run():
    for runs in uniform.make_loops(make_work(capacity=128, batch_size=8, add_size=64)).values():
        times = timing.time_in_turn(runs, rounds=2, seconds=1e-4)
        assert list(times) == ["add", "sample", "add and sample"]
        assert all((time > 0).all() for time in times.values())


@pytest.mark.parametrize("job", [streams.Job(4, 2, 1, 1, 8), streams.Job(4, 5, 2, 2, 8)])
def test_stream_contenders_run(job):
    for runs in streams.make_loops(job, capacity=128).values():
        times = timing.time_in_turn(runs, rounds=2, seconds=1e-4)
        assert list(times) == ["add", "sample", "step"]
        assert all((time > 0).all() for time in times.values())


def test_a_run_of_several_goes_through_the_variants_in_turn():
    held = [jnp.int32(0), jnp.int32(-1)]
    run = compiled_loop.compile_loop(held, lambda state, _, i: (state + 1, i), inner_turns=24)
    run(3)
    assert [int(number) for number in held] == [72, 71 - VARIANTS]


def test_work_is_the_same_for_the_same_seed():
    one, two = (make_work(16, 4, 2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one.ids, two.ids)
    assert one.rows["observation"].shape == (2, 8)
    assert one.ids.max() < 16


def test_a_run_that_takes_too_long_is_told():
    assert timing.check_duration(lambda count: None, limit=10) is None
    why = timing.check_duration(lambda count: None, limit=-1)
    assert why == "one run took 0.0 s, more than -1 s"


def cells():
    """Two sizes; the peer is three times as slow at the first, and half as slow at the second."""
    own, slow, fast = (np.full(2, time) for time in (10.0, 30.0, 5.0))
    for operation in OPERATIONS:
        yield Cell(2**20, 256, operation, {"jaxper": own, "peer": slow}, {})
        yield Cell(2**14, 32, operation, {"jaxper": own, "peer": fast}, {"late": "too slow"})


def test_tables_tell_the_worst_ratio_and_what_was_left_out():
    contenders = [Contender(name, "1", lambda work: {}) for name in ("jaxper", "peer", "late")]
    text = tables.format_document(list(cells()), contenders, [])
    assert "| add | **10.0** | 30.0 (3x) | left out |" in text
    assert "| add, worst |  | 0.5x (16,384 / 32) | left out |" in text
    assert "| 16,384 | 32 | step | **10.0** | 5.0 (0.5x) | left out |" in text
    assert "- late, add of 32 at 16,384: too slow" in text


def test_the_plot_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from benchmarks.harness import plots

    plots.plot_peers(list(cells()), tmp_path / "peers.png")
    assert (tmp_path / "peers.png").stat().st_size > 10_000
