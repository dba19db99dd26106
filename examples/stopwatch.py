"""Where the time of a loop goes."""

import time
from collections import defaultdict
from contextlib import contextmanager


class Stopwatch:
    """Seconds spent in each part of the loop, and frames played meanwhile."""

    def __init__(self):
        self.seconds = defaultdict(float)
        self.frames = 0

    @contextmanager
    def __call__(self, part: str):
        began = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - began

    def report(self) -> str:
        total = sum(self.seconds.values())
        shares = [f"{part} {spent / total:.0%}" for part, spent in self.seconds.items()]
        return f"{self.frames / total:.0f} frames per second; time spent: {', '.join(shares)}"
