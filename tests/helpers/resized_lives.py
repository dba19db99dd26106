"""The references of `tests/helpers/reference.py` at another capacity, and lives that resize."""

import dataclasses

import numpy as np

from jaxper import resize
from tests.helpers.random_lives import Life
from tests.helpers.reference import ReferenceReplay, ReferenceStream
from tests.helpers.stream_lives import StreamLife


def resized_items(model, capacity):
    """The reference of the newest items, each under the id of its age."""
    new = ReferenceReplay(capacity, model.alpha, model.epsilon, model.normalize)
    new.next_id = model.next_id % new.modulus
    for name in ("max_priority", "rejected", "stale"):
        setattr(new, name, getattr(model, name))
    for age in range(min(capacity, len(model.ids))):
        old = (model.next_id - 1 - age) % model.modulus % model.capacity
        i = (new.next_id - 1 - age) % new.modulus
        slot = i % capacity
        new.ids[slot], new.items[slot] = i, model.items[old]
        new.leaves[slot] = min(model.leaves[old], 2.0**126 / capacity)
    return new


class ResizedLife(Life):
    def resize(self, capacity):
        self.state = resize(self.replay, self.state, capacity)
        self.replay = dataclasses.replace(self.replay, capacity=capacity)
        self.model = resized_items(self.model, capacity)


class ResizedStream(ReferenceStream):
    """A stream that may have had another capacity: steps before `lost` are gone for good."""

    lost = 0

    @property
    def stored(self):
        return (len(self.steps) - self.oldest()) * self.view.num_envs

    def oldest(self):
        return max(self.lost, len(self.steps) - self.limit)

    def possible_starts(self):
        kept, self.limit = self.limit, 2**62
        every, self.limit = super().possible_starts(), kept
        oldest = self.oldest()
        first = oldest + getattr(self.view, "frame_stack", 1) - 1 if oldest else 0
        return {(t, env) for t, env in every if t >= first}

    def resize(self, capacity):
        leaves = {place: self.leaves[self.slot_of(place)] for place in self.starts}
        old_limit, self.limit = self.limit, capacity // self.view.num_envs
        self.lost = max(self.lost, len(self.steps) - min(old_limit, self.limit))
        self.capacity = capacity
        self.modulus = (2**32 - 1) // capacity * capacity
        self.next_id %= self.modulus
        self.first_id = self.next_id - len(self.steps) * self.view.num_envs
        self.ids = {}
        for t in range(self.oldest(), len(self.steps)):
            for env in range(self.view.num_envs):
                self.ids[self.slot_of((t, env))] = self.id_of((t, env))
        self.starts = {place for place in self.possible_starts() if place in leaves}
        assert self.starts == self.possible_starts()
        self.leaves = np.zeros(capacity)
        for place in self.starts:
            self.leaves[self.slot_of(place)] = leaves[place]


class ResizedStreamLife(StreamLife):
    def __init__(self, replay, next_id=0):
        super().__init__(replay, next_id)
        model = self.model
        self.model = ResizedStream(model.view, model.capacity, model.alpha, model.epsilon, next_id)

    def resize(self, random, capacity):
        self.state = resize(self.replay, self.state, capacity)
        self.replay = dataclasses.replace(self.replay, capacity=capacity)
        self.model.resize(capacity)
