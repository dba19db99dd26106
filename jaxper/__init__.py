"""Experience replay that lives on the accelerator, for reinforcement learning in JAX."""

from jaxper import sharding, sum_tree
from jaxper.replay.equiprobable import UniformState
from jaxper.replay.importance import importance_weights
from jaxper.replay.prioritized import PrioritizedReplay
from jaxper.replay.prioritized_state import PrioritizedState
from jaxper.replay.sample import Sample
from jaxper.replay.stats import Stats
from jaxper.replay.uniform import UniformReplay
from jaxper.stream.cut import cut
from jaxper.stream.frame_stack import stack_frames
from jaxper.stream.timestep import Sequence, TimeStep, Transition
from jaxper.transfer.resize import resize
from jaxper.views.items import Items
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

# Users meet these classes under the names that they import: in reprs, pickles and help().
for _public in map(globals().get, __all__):
    if isinstance(_public, type):
        _public.__module__ = __name__
del _public


def __dir__() -> list[str]:
    """Lists the public names; the packages that they come from are not among them."""
    return [*__all__, "__doc__", "__name__", "__path__", "__version__"]
