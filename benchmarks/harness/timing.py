"""Times of things that are run in turn, so that what else the machine does hits all alike."""

import time

import numpy as np

from benchmarks.harness.work import Loop


def time_in_turn(runs: dict[str, Loop], rounds: int, seconds: float) -> dict[str, np.ndarray]:
    """Microseconds per run of each, [rounds]; each is run for about `seconds` a round.

    Before it is timed it runs for as long: Linux wakes a second thread on the core of the first,
    and for some 20 ms after a pause both may share that core.
    """
    counts = {name: _choose_count(run, seconds) for name, run in runs.items()}
    times = {name: np.empty(rounds) for name in runs}
    for i in range(rounds):
        for name, run in runs.items():
            run(counts[name])
            times[name][i] = _measure_seconds(run, counts[name]) / counts[name] * 1e6
    return times


def time_row(loops: dict[str, dict[str, Loop]], operation: str, rounds: int, seconds: float) -> str:
    """A table's cells of one operation, in turn: microseconds, and times as long as the first."""
    chosen = {name: each[operation] for name, each in loops.items()}
    times = list(time_in_turn(chosen, rounds, seconds).values())
    return " | ".join(f"{np.median(t):,.1f} ({np.median(t / times[0]):.3g}x)" for t in times)


def check_duration(run: Loop, limit: float) -> str | None:
    """Why something is not to be timed: that one run of it takes more than `limit` seconds."""
    for _ in range(2):
        run(1)  # compiles, and may compile again for the state that the first run left
    taken = _measure_seconds(run, 1)
    return f"one run took {taken:.1f} s, more than {limit:g} s" if taken > limit else None


def _choose_count(run: Loop, seconds: float) -> int:
    run(1)  # compiles
    count = 1
    while (taken := min(_measure_seconds(run, count) for _ in range(2))) < seconds / 4:
        count *= 2
    return max(1, round(count * seconds / taken))


def _measure_seconds(run: Loop, count: int) -> float:
    start = time.perf_counter()
    run(count)
    return time.perf_counter() - start
