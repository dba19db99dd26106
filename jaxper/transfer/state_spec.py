"""Shapes and dtypes of a state, and how two of them differ."""

from typing import Any

import jax

from jaxper.replay.types import Replay


def spec(replay: Replay, item: Any, leading: tuple[int, ...]) -> Any:
    """Returns shapes and dtypes of a state with these leading axes."""
    return jax.tree.map(
        lambda array: jax.ShapeDtypeStruct((*leading, *array.shape), array.dtype),
        jax.eval_shape(replay.init, item),
    )


def arrays_by_path(tree: Any) -> dict[str, Any]:
    """Returns the arrays of a pytree by their path."""
    arrays = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path): array for path, array in arrays}


def describe(tree: Any) -> dict[str, str]:
    """Returns dtype and shape of each array of a pytree by its path."""
    specs = arrays_by_path(jax.eval_shape(lambda arrays: arrays, tree))
    return {path: f"{array.dtype}{list(array.shape)}" for path, array in specs.items()}


def list_differences(
    name: str,
    one: dict[str, Any],
    other: dict[str, Any],
    names: tuple[str, str] = ("saved", "given"),
) -> list[str]:
    """Returns a line for each key under which the two differ."""
    keys = [key for key in {**one, **other} if one.get(key) != other.get(key)]
    return [
        f"{name}{key}: {names[0]} {one.get(key, 'nothing')}, {names[1]} {other.get(key, 'nothing')}"
        for key in keys
    ]
