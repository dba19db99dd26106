"""jaxper: experience replay that lives on the accelerator."""

from jaxper import sum_tree
from jaxper.importance import importance_weights
from jaxper.prioritized import PrioritizedReplay
from jaxper.prioritized_state import PrioritizedState
from jaxper.stats import Stats
from jaxper.uniform import UniformReplay, UniformState
from jaxper.views import Items, Sample

__version__ = "0.1.0"

__all__ = [
    "Items",
    "PrioritizedReplay",
    "PrioritizedState",
    "Sample",
    "Stats",
    "UniformReplay",
    "UniformState",
    "importance_weights",
    "sum_tree",
]
