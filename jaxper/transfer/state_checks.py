"""Checks of a whole state, before it is saved or moved into another ring."""

from typing import Any

import jax
from jax.core import Tracer

from jaxper.replay.types import Replay, State
from jaxper.transfer import state_spec


def check_whole(replay: Replay, state: State) -> None:
    """Refuses an object whose arrays are not those that this replay makes for its item.

    It traces `init`.
    """
    if not callable(getattr(replay, "init", None)):
        raise ValueError(
            f"replay must be what made the state, got {type(replay).__name__}; "
            f"give the replay before the state"
        )
    if not {"next_id", "stored", "tree", "storage"} <= set(getattr(state, "_fields", ())):
        raise ValueError(
            f"state must be the replay's, got {type(state).__name__}; write replay.init(item)"
        )
    replay.view.check_storage(state.storage)
    expected = state_spec.spec(replay, replay.view.item_spec(state.storage), state.next_id.shape)
    lines = state_spec.list_differences(
        "state", state_spec.describe(state), state_spec.describe(expected), ("given", "expected")
    )
    if lines:
        raise ValueError(
            f"the state is not one of {replay}; give the replay that it was made with:\n  "
            + "\n  ".join(lines)
        )


def check_readable(trees: Any) -> None:
    """Refuses arrays that are traced."""
    if any(isinstance(array, Tracer) for array in jax.tree.leaves(trees)):
        raise ValueError(
            "a checkpoint is made of arrays, got traced ones; save outside of jax.jit, scan and "
            "vmap, what the compiled function returns"
        )
