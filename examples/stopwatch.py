"""A stopwatch for the parts of a loop."""

import time
from collections import defaultdict
from contextlib import contextmanager


class Stopwatch:
    """The seconds spent in each part of a loop, and the frames that were played."""

    def __init__(self):
        self.seconds = defaultdict(float)
        self.frames = 0

    @contextmanager
    def __call__(self, part: str):
        """Adds the time of a `with` block to this part."""
        began = time.perf_counter()
        yield
        self.seconds[part] += time.perf_counter() - began

    def report(self) -> str:
        """Returns the frames per second, and the share of each part in the time."""
        total = sum(self.seconds.values())
        shares = [f"{part} {spent / total:.0%}" for part, spent in self.seconds.items()]
        return f"{self.frames / total:.0f} frames per second; time spent: {', '.join(shares)}"
