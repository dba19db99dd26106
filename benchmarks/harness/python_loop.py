"""Loops for libraries that are called from Python, one operation at a time."""

from collections.abc import Callable
from typing import Any

from benchmarks.harness.work import VARIANTS, Loop, Work


def make_loops(
    work: Work,
    add: Callable[[], Any],
    sample: Callable[[], tuple[Any, Any]],
    update: Callable[[Any, Any], Any],
    convert: Callable[[Any], Any],
) -> dict[str, Loop]:
    """Returns the loops of all `OPERATIONS`.

    Args:
      work: the sizes and batches.
      add: adds the rows of the work.
      sample: returns the rewards and the ids of a batch.
      update: takes ids and priorities.
      convert: turns an array of NumPy into one of the library's own.
    """
    updates = [
        (convert(ids), convert(new)) for ids, new in zip(work.ids, work.priorities, strict=True)
    ]

    def step() -> None:
        add()
        rewards, ids = sample()
        update(ids, abs(rewards))

    def repeat(function: Callable[[], Any]) -> Loop:
        def run(count: int) -> None:
            for _ in range(count):
                function()

        return run

    def run_updates(count: int) -> None:
        for i in range(count):
            update(*updates[i % VARIANTS])

    return {
        "add": repeat(add),
        "sample": repeat(sample),
        "update": run_updates,
        "step": repeat(step),
    }
