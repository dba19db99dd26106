"""jaxper: experience replay that lives on the accelerator."""

from jaxper import sharding, sum_tree
from jaxper.frames import stack_frames
from jaxper.importance import importance_weights
from jaxper.prioritized import PrioritizedReplay
from jaxper.prioritized_state import PrioritizedState
from jaxper.resize import resize
from jaxper.sequences import Sequences, sequence_priority
from jaxper.stats import Stats
from jaxper.stream import cut
from jaxper.timestep import Sequence, TimeStep, Transition
from jaxper.transitions import Transitions
from jaxper.uniform import UniformReplay
from jaxper.uniform_state import UniformState
from jaxper.views import Items, Sample

__version__ = "0.1.0"

__all__ = [
    "Items",
    "PrioritizedReplay",
    "PrioritizedState",
    "Sample",
    "Sequence",
    "Sequences",
    "Stats",
    "TimeStep",
    "Transition",
    "Transitions",
    "UniformReplay",
    "UniformState",
    "cut",
    "importance_weights",
    "resize",
    "sequence_priority",
    "sharding",
    "stack_frames",
    "sum_tree",
]
