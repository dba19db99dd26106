"""Shapes and dtypes of a state, and of the item that it was made for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jaxper.stream.stream import Stream

if TYPE_CHECKING:
    from jaxper.transfer.rows import Replay, State


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
    flag = jax.ShapeDtypeStruct((), jnp.bool_)
    step = jax.tree.unflatten(storage.steps.structure, storage.steps.leaves)
    return step._replace(terminated=flag, truncated=flag)


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
