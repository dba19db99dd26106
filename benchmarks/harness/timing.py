"""Times of loops that run in turn, so that other work on the machine slows all of them alike."""

import argparse
import time

import numpy as np

from benchmarks.harness.work import Loop


def make_parser(description: str, rounds: int, seconds: float) -> argparse.ArgumentParser:
    """Returns a parser with the options that all timed commands have, at these defaults.

    Args:
      description: the docstring of the command, whose first line is shown.
      rounds: the default of `--rounds`.
      seconds: the default of `--seconds`.
    """
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=rounds, help="times that each loop is timed")
    parser.add_argument("--seconds", type=float, default=seconds, help="per loop and round")
    return parser


def time_in_turn(loops: dict[str, Loop], rounds: int, seconds: float) -> dict[str, np.ndarray]:
    """Returns the microseconds per count of each loop, [rounds].

    Each loop runs for about `seconds` a round, after it has run for as long without being timed:
    Linux wakes a second thread on the core of the first one, and for some 20 ms after a pause both
    may share that core.
    """
    counts = {name: _choose_count(loop, seconds) for name, loop in loops.items()}
    times = {name: np.empty(rounds) for name in loops}
    for i in range(rounds):
        for name, loop in loops.items():
            loop(counts[name])
            times[name][i] = _measure_seconds(loop, counts[name]) / counts[name] * 1e6
    return times


def time_row(
    contenders: dict[str, dict[str, Loop]], operation: str, rounds: int, seconds: float
) -> str:
    """Times an operation of all contenders in turn, and returns the cells of a row of a table.

    A cell has the median in microseconds, and how many times as long it is as the first contender.
    """
    loops = {name: each[operation] for name, each in contenders.items()}
    times = list(time_in_turn(loops, rounds, seconds).values())
    return " | ".join(f"{np.median(t):,.1f} ({np.median(t / times[0]):.3g}x)" for t in times)


def check_duration(loop: Loop, limit: float) -> str | None:
    """Returns why a loop is too slow to be timed, or None if a run takes up to `limit` seconds."""
    # The first run compiles, and the second one may compile again for the state that it left.
    for _ in range(2):
        loop(1)
    seconds = _measure_seconds(loop, 1)
    return f"one run took {seconds:.1f} s, more than {limit:g} s" if seconds > limit else None


def _choose_count(loop: Loop, seconds: float) -> int:
    """Returns a count that takes about this long."""
    # The first run compiles.
    loop(1)
    count = 1
    while (taken := min(_measure_seconds(loop, count) for _ in range(2))) < seconds / 4:
        count *= 2
    return max(1, round(count * seconds / taken))


def _measure_seconds(loop: Loop, count: int) -> float:
    """Returns how long this many runs take."""
    start = time.perf_counter()
    loop(count)
    return time.perf_counter() - start
