"""The meaning of the replays in plain NumPy and float64, one item at a time: the specification."""

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
        new = max(self.max_priority, 1.0)
        for row, item in enumerate(items):
            if mask is not None and not mask[row]:
                continue
            priority = new if priorities is None else float(priorities[row])
            if not is_priority(priority):
                self.rejected += 1
                priority = new
            elif priorities is not None:
                self.max_priority = max(self.max_priority, priority)
            slot = self.next_id % self.capacity
            self.ids[slot], self.items[slot] = self.next_id, item
            self.leaves[slot] = self.leaf(priority)
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

    def reset_priorities(self, priority):
        if is_priority(priority):
            self.leaves[self.leaves > 0] = self.leaf(priority)
            self.max_priority = priority
        else:
            self.rejected += 1

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


class ReferenceStream(ReferenceReplay):
    """A prioritized stream: every step ever added is kept, and looked through for each answer."""

    def __init__(self, view, capacity, alpha=0.6, epsilon=1e-6, next_id=0):
        super().__init__(capacity, alpha, epsilon, next_id=next_id)
        self.view, self.limit = view, capacity // view.num_envs
        self.steps = []  # [t][env] -> Step
        self.breaks = set()  # t after which the stream breaks
        self.starts = set()  # (t, env) whose draw is possible
        self.first_id = next_id

    def add(self, rows):
        """`rows` [T][env] of Step."""
        kept = {place: self.leaves[self.slot_of(place)] for place in self.starts}
        for row in rows:
            for _ in row:
                self.ids[self.next_id % self.capacity] = self.next_id
                self.next_id = (self.next_id + 1) % self.modulus
            self.steps.append(row)
        self.starts = self.possible_starts()
        self.leaves[:] = 0
        for place in self.starts:
            new = self.leaf(max(self.max_priority, 1.0))
            self.leaves[self.slot_of(place)] = kept.get(place, new)

    def cut(self):
        if self.steps:
            self.breaks.add(len(self.steps) - 1)

    @property
    def stored(self):
        return min(self.limit, len(self.steps)) * self.view.num_envs

    def id_of(self, place):
        t, env = place
        return (self.first_id + t * self.view.num_envs + env) % self.modulus

    def slot_of(self, place):
        return self.id_of(place) % self.capacity

    def possible_starts(self):
        """(t, env) of every step that a draw may start at."""
        live = self.sequence_starts if self.view_is_sequences() else self.transition_starts
        return {(t, env) for env in range(self.view.num_envs) for t in live(env)}

    def view_is_sequences(self):
        return hasattr(self.view, "length")

    def transition_starts(self, env):
        oldest, total = max(0, len(self.steps) - self.limit), len(self.steps)
        if total > self.limit:
            oldest += self.view.frame_stack - 1
        facts = self.facts(env)
        for t in range(oldest, total - self.view.n_step):
            if self.steps[t][env].mask and not facts[t].ignored and not facts[t].cut:
                yield t

    def sequence_starts(self, env):
        view, facts = self.view, self.facts(env)
        oldest, total = max(0, len(self.steps) - self.limit), len(self.steps)
        for t in range(oldest, total - view.length + 1):
            index = t if view.boundaries == "cross" else t - facts[t].began
            allowed = view.boundaries == "cross" or not facts[t].ignored
            if self.steps[t][env].mask and allowed and index % view.period == 0:
                yield t

    def facts(self, env):
        """Tells what each row of an environment is, from the beginning of the stream."""
        facts, following, began = [], "a first step", 0
        for t, row in enumerate(self.steps):
            step, fact = row[env], Facts()
            fact.ignored = following == "an ignored row"
            fact.first = following == "a first step"
            began = fact.began = t if fact.first else began
            following = "a first step" if fact.ignored else "the next step"
            if not fact.ignored:
                fact.terminated = step.terminated
                fact.ended = step.terminated or step.truncated
                if fact.ended and self.view.autoreset == "same_step":
                    following, fact.cut = "a first step", not step.terminated
                elif fact.ended:
                    following = "an ignored row"
            if t in self.breaks:
                following = "a first step"
                if not fact.ignored and not fact.terminated:
                    fact.ended = fact.cut = True
            facts.append(fact)
        return facts

    def draw(self, place, discount):
        t, env = place
        if self.view_is_sequences():
            return self.draw_sequence(t, env)
        return self.draw_transition(t, env, discount)

    def draw_transition(self, t, env, discount):
        facts, reward, m = self.facts(env), 0.0, 0
        while m < self.view.n_step and not facts[t + m].cut:
            reward = reward + discount**m * np.asarray(self.steps[t + m][env].reward, np.float64)
            m += 1
            if facts[t + m - 1].ended:
                break
        terminated = facts[t + m - 1].terminated
        step = self.steps[t][env]
        return {
            "observation": self.stack(t, env, facts),
            "action": step.action,
            "reward": reward,
            "discount": 0.0 if terminated else discount**m,
            "next_observation": None if terminated else self.stack(t + m, env, facts),
            "extras": step.extras,
        }

    def stack(self, t, env, facts):
        """Frames t-k+1 ... t, oldest first, on an axis of their own."""
        view, began = self.view, facts[t].began
        frames = [self.steps[max(t - i, began)][env].observation for i in range(view.frame_stack)]
        if view.padding == "zeros":
            for i in range(t - began + 1, view.frame_stack):
                frames[i] = {name: np.zeros_like(leaf) for name, leaf in frames[i].items()}
        if view.frame_stack == 1:
            return frames[0]
        return {
            name: np.stack([frame[name] for frame in frames[::-1]], view.stack_axis)
            for name in frames[0]
        }

    def draw_sequence(self, t, env):
        facts = self.facts(env)[t : t + self.view.length]
        mask = [not fact.ignored for fact in facts]
        if self.view.boundaries == "stop":
            ends = [k for k, fact in enumerate(facts) if fact.ended]
            mask = [k <= ends[0] if ends else True for k in range(self.view.length)]
        return {
            "steps": [row[env] for row in self.steps[t : t + self.view.length]],
            "cut": [fact.cut for fact in facts],
            "mask": mask,
            "first": [fact.first for fact in facts],
        }


class Facts:
    """The facts about one row of one environment."""

    ignored = first = ended = terminated = cut = False
    began = 0  # t of its episode's first step


class Step:
    """One step of one environment, as it was added."""

    def __init__(self, observation, action, reward, terminated, truncated, extras, mask=True):
        self.observation, self.action, self.reward = observation, action, reward
        self.terminated, self.truncated, self.extras = terminated, truncated, extras
        self.mask = mask
