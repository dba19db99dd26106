"""What is refused of a state: each error says which replay or which call it is for."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import jax
from jax.core import Tracer

from jaxper.replay.equiprobable import UniformState
from jaxper.replay.proportional import PrioritizedState
from jaxper.stream import stream
from jaxper.stream.stream import Stream
from jaxper.transfer import state_spec as _state_spec
from jaxper.views import items as views

if TYPE_CHECKING:
    from jaxper.transfer.rows import Replay, State
    from jaxper.views.items import View


def of_kind(kind: type, state: Any) -> None:
    """Refuses a state of another kind of replay."""
    if not isinstance(state, kind):
        raise ValueError(
            f"state must be a {kind.__name__}, as this replay's init returns it, "
            f"got {type(state).__name__}; the state is the first argument"
        )


def fits(kind: type, replay: Replay, state: State) -> None:
    """Refuses a state of another kind of replay, of many, of another capacity or view."""
    of_kind(kind, state)
    if state.next_id.ndim:
        raise ValueError(
            f"state must be that of one replay, got leading axes {state.next_id.shape}; "
            f"call the method under jax.vmap"
        )
    made_for = len(state.storage.words) if state.tree == () else state.tree.capacity
    if made_for != replay.capacity:
        raise ValueError(
            f"the state is of capacity {made_for}, this replay of {replay.capacity}; use "
            f"dataclasses.replace(replay, capacity={made_for}), or first resize the state with "
            f"jaxper.resize(dataclasses.replace(replay, capacity={made_for}), state, "
            f"{replay.capacity})"
        )
    of_view(replay.view, state)


def of_view(view: View, state: State) -> None:
    """Refuses a state that was made under another view, but for its discount."""
    made_under = state.storage.view if isinstance(state.storage, Stream) else views.Items()
    wanted = stream.kept(view)
    if made_under != wanted:
        raise ValueError(
            f"the state was made under view={_told(made_under, wanted)}, this replay has "
            f"view={_told(wanted, made_under)}; use the replay that made it, or make a state with "
            f"replay.init(item)"
        )


def _told(view: Any, other: Any) -> str:
    """A view, with the fields in which another one differs."""
    fields = {field.name: getattr(view, field.name) for field in dataclasses.fields(view)}
    if type(view) is type(other):
        fields = {name: value for name, value in fields.items() if value != getattr(other, name)}
    fields.pop("discount", None)
    shown = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    return f"{type(view).__name__}({shown})"


def keeps_minimum(normalize: str, state: PrioritizedState) -> None:
    """Refuses a state without the smallest leaf where weights are normalised by it."""
    if normalize == "buffer" and state.tree.minima is None:
        raise ValueError(
            'the state was made by a replay of another normalize; of normalize="buffer" make one '
            "with init, or save the state and restore it with this replay"
        )


def readable(trees: Any) -> None:
    """Refuses arrays that are traced."""
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(trees)):
        raise ValueError(
            "a checkpoint is made of arrays, got traced ones; save outside of jax.jit, scan and "
            "vmap, what the compiled function returns"
        )


def whole(replay: Replay, state: State) -> None:
    """Refuses what is no state of this replay, or of another item. It traces `init`."""
    if not hasattr(replay, "init"):
        raise ValueError(
            f"replay must be what made the state, got {type(replay).__name__}; "
            f"give the replay before the state"
        )
    if not isinstance(state, PrioritizedState | UniformState):
        raise ValueError(f"state must be the replay's, got {type(state).__name__}")
    expected = _state_spec.spec(replay, _state_spec.item_of(state), state.next_id.shape)
    lines = _state_spec.differences(
        "state", _state_spec.leaves(state), _state_spec.leaves(expected), ("given", "expected")
    )
    if lines:
        raise ValueError(
            f"the state is not one of {replay}; give the replay that it was made with:\n  "
            + "\n  ".join(lines)
        )
    of_view(replay.view, state)
