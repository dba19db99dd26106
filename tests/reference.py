"""What the replays mean, in plain NumPy and float64, one item at a time: the specification."""

import numpy as np

NO_ID = 2**32 - 1


class ReferenceReplay:
    """`PrioritizedReplay` without arrays that wrap, round or run in parallel."""

    def __init__(self, capacity, alpha=0.6, epsilon=1e-6, normalize="batch", next_id=0):
        self.capacity, self.alpha, self.epsilon = capacity, alpha, epsilon
        self.normalize = normalize
        self.modulus = NO_ID // capacity * capacity
        self.next_id = next_id
        self.ids = {}  # slot -> id
        self.items = {}  # slot -> item
        self.leaves = np.zeros(capacity)
        self.max_priority, self.rejected, self.stale = 1.0, 0, 0

    def leaf(self, priority):
        if priority == 0 and self.epsilon == 0 and self.alpha > 0:
            return 0.0
        with np.errstate(over="ignore"):
            leaf = (np.float64(priority) + self.epsilon) ** self.alpha
        return float(np.clip(leaf, 2.0**-100, 2.0**126 / self.capacity))

    def add(self, items, priorities=None, mask=None):
        new = self.max_priority
        for row, item in enumerate(items):
            if mask is not None and not mask[row]:
                continue
            priority = new if priorities is None else float(priorities[row])
            if not is_priority(priority):
                self.rejected += 1
                priority = new
            slot = self.next_id % self.capacity
            self.ids[slot], self.items[slot] = self.next_id, item
            self.leaves[slot] = self.leaf(priority)
            self.max_priority = max(self.max_priority, priority)
            self.next_id = (self.next_id + 1) % self.modulus

    def update_priorities(self, ids, priorities, mask=None):
        live = [self.is_live(i) for i in ids]  # as they stood before the call
        for row, (i, priority) in enumerate(zip(ids, priorities, strict=True)):
            if mask is not None and not mask[row]:
                continue
            if not is_priority(priority):
                self.rejected += 1
            elif not live[row]:
                self.stale += 1
            else:
                self.leaves[i % self.capacity] = self.leaf(float(priority))
                self.max_priority = max(self.max_priority, float(priority))

    def is_live(self, i):
        slot = int(i) % self.capacity
        return self.ids.get(slot) == int(i) and self.leaves[slot] > 0

    @property
    def size(self):
        return int(np.sum(self.leaves > 0))

    def probabilities(self, ids):
        total = self.leaves.sum()
        return np.array(
            [self.leaves[int(i) % self.capacity] / total if self.is_live(i) else 0.0 for i in ids]
        )

    def weights(self, ids, beta):
        if self.size == 0:
            return np.zeros(len(ids))
        weights = (self.size * self.probabilities(ids)) ** -beta
        if self.normalize == "batch":
            return weights / weights.max()
        if self.normalize == "buffer":
            live = self.leaves[self.leaves > 0]
            return weights / ((self.size * live / live.sum()) ** -beta).max()
        return weights


def is_priority(priority):
    return np.isfinite(priority) and priority >= 0


def find(leaves, mass):
    """The first leaf at which the running sum exceeds `mass`, else the last leaf above 0."""
    running = np.cumsum(np.asarray(leaves, np.float64))
    above = np.flatnonzero(running > mass)
    if mass >= running[-1] or not above.size:
        return int(np.flatnonzero(leaves)[-1])
    return int(above[0])
