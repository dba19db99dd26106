"""jaxper: experience replay that lives on the accelerator."""

from jaxper import sharding, sum_tree
from jaxper.replay.equiprobable import UniformState
from jaxper.replay.importance import importance_weights
from jaxper.replay.prioritized import PrioritizedReplay
from jaxper.replay.proportional import PrioritizedState
from jaxper.replay.stats import Stats
from jaxper.replay.uniform import UniformReplay
from jaxper.stream.frame_stack import stack_frames
from jaxper.stream.stream import cut
from jaxper.stream.timestep import Sequence, TimeStep, Transition
from jaxper.transfer.resize import resize
from jaxper.views.items import Items, Sample
from jaxper.views.sequences import Sequences, sequence_priority
from jaxper.views.transitions import Transitions

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
