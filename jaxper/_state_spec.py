"""Shapes and dtypes of a state: which replay and which item it was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxper.prioritized_state import PrioritizedState
from jaxper.stream import Stream
from jaxper.timestep import TimeStep
from jaxper.uniform_state import UniformState

if TYPE_CHECKING:
    from jaxper.moves import Replay, State


def check_fits(kind: type, capacity: int, state: State) -> None:
    """Refuses a state of another kind of replay, of many, or of another capacity."""
    if not isinstance(state, kind):
        raise ValueError(
            f"state must be a {kind.__name__}, as this replay's init returns it, "
            f"got {type(state).__name__}"
        )
    if state.next_id.ndim:
        raise ValueError(
            f"state must be that of one replay, got leading axes {state.next_id.shape}; "
            f"call the method under jax.vmap"
        )
    made_for = len(state.storage.words) if state.tree == () else state.tree.capacity
    if made_for != capacity:
        raise ValueError(
            f"the state is of capacity {made_for}, this replay of {capacity}; use "
            f"dataclasses.replace(replay, capacity={made_for}), or first resize the state with "
            f"jaxper.resize(dataclasses.replace(replay, capacity={made_for}), state, {capacity})"
        )


def check_minimum(normalize: str, state: PrioritizedState) -> None:
    """Refuses a state without the smallest leaf where weights are normalised by it."""
    if normalize == "buffer" and state.tree.minima is None:
        raise ValueError(
            'the state was made by a replay of another normalize; of normalize="buffer" make one '
            "with init, or save the state and restore it with this replay"
        )


def check_state(replay: Replay, state: State) -> None:
    """Refuses what is no state of this replay, or of another item. It traces `init`."""
    if not isinstance(state, PrioritizedState | UniformState):
        raise ValueError(f"state must be the replay's, got {type(state).__name__}")
    expected = spec(replay, item_of(state), state.next_id.shape)
    lines = differences("state", leaves(state), leaves(expected), ("given", "expected"))
    if lines:
        raise ValueError(
            f"the state is not one of {replay}; give the replay that it was made with:\n  "
            + "\n  ".join(lines)
        )


def spec(replay: Replay, item: Any, leading: tuple[int, ...]) -> Any:
    """Shapes and dtypes of a state with these leading axes."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((*leading, *leaf.shape), leaf.dtype),
        jax.eval_shape(replay.init, item),
    )


def item_of(state: State) -> Any:
    """Shapes and dtypes of one item that the state was made for."""
    storage = state.storage
    if not isinstance(storage, Stream):
        return jax.tree.unflatten(storage.structure, storage.leaves)
    outer = storage.flags.ndim

    def one(leaves: Any) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape[outer:], x.dtype), leaves)

    flag = jax.ShapeDtypeStruct((), jnp.bool_)
    return TimeStep(
        one(storage.observation),
        one(storage.action),
        one(storage.reward),
        flag,
        flag,
        one(storage.extras),
    )


def leaves(tree: Any) -> dict[str, str]:
    """Path of each leaf: its dtype and shape."""
    specs = named(jax.eval_shape(lambda leaves: leaves, tree))
    return {path: f"{leaf.dtype}{list(leaf.shape)}" for path, leaf in specs.items()}


def differences(
    name: str,
    one: dict[str, Any],
    other: dict[str, Any],
    names: tuple[str, str] = ("saved", "given"),
) -> list[str]:
    """A line for each name under which they differ."""
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return [
        f"{name}{key}: {names[0]} {one.get(key, 'nothing')}, {names[1]} {other.get(key, 'nothing')}"
        for key in keys
    ]


def named(tree: Any) -> dict[str, Any]:
    """The leaves of a pytree by their path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
