"""Checks of a state that a method was given: is it one of this replay?"""

from typing import Any

from jaxper.replay.types import Replay


def check_kind(kind: type, state: Any) -> None:
    """Refuses a state of another kind of replay."""
    if not isinstance(state, kind):
        raise ValueError(
            f"state must be a {kind.__name__}, as this replay's init returns it, "
            f"got {type(state).__name__}; the state is the first argument"
        )


def check_state(kind: type, replay: Replay, state: Any) -> None:
    """Refuses a state of another kind of replay, of several, of another capacity or view."""
    check_kind(kind, state)
    if state.next_id.ndim:
        raise ValueError(
            f"state must be that of one replay, got leading axes {state.next_id.shape}; "
            f"call the method under jax.vmap"
        )
    made_for = state.storage.capacity
    if made_for != replay.capacity:
        raise ValueError(
            f"the state is of capacity {made_for}, this replay of {replay.capacity}; use "
            f"dataclasses.replace(replay, capacity={made_for}), or first resize the state with "
            f"jaxper.resize(dataclasses.replace(replay, capacity={made_for}), state, "
            f"{replay.capacity})"
        )
    replay.view.check_storage(state.storage)


def check_minimum(normalize: str, state: Any) -> None:
    """Refuses a state without the smallest leaf if weights are normalized by it."""
    if normalize == "buffer" and state.tree.minima is None:
        raise ValueError(
            "the state was made by a replay of another normalize and keeps no smallest leaf; for "
            'normalize="buffer" make one with init, or save it and restore it with this replay'
        )
