"""Checks of the pytrees that users pass to be stored; each error names the array."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def item_spec(item: Any, name: str = "item") -> Any:
    """Returns the shape and dtype of each array of an item, as `jax.ShapeDtypeStruct`s.

    Args:
      item: a pytree of arrays, Python numbers or `jax.ShapeDtypeStruct`s.
      name: the word for the pytree in errors.

    Raises:
      ValueError: there is no array in it, or something that is neither numbers nor bools.
    """
    spec = jax.tree_util.tree_map_with_path(
        lambda path, value: _array_spec(f"{name}{jax.tree_util.keystr(path)}", value), item
    )
    if not jax.tree.leaves(spec):
        raise ValueError(f"an item needs at least one array, got {item!r}")
    for path, array in jax.tree_util.tree_leaves_with_path(spec):
        if jnp.issubdtype(array.dtype, jax.dtypes.extended):
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)} must be of numbers or bools, "
                f"got {array.dtype}; store random keys as jax.random.key_data(keys)"
            )
    return spec


def _array_spec(name: str, value: Any) -> jax.ShapeDtypeStruct:
    try:
        spec = jax.eval_shape(lambda array: array, value)
        # `eval_shape` accepts NumPy's dates and times, which JAX cannot compute with.
        if getattr(spec.dtype, "kind", None) in ("m", "M"):
            raise TypeError
        return spec
    except (OverflowError, TypeError):
        raise ValueError(
            f"{name} must be an array, got {value!r}; {_suggest_type(value)}"
        ) from None


def _suggest_type(value: Any) -> str:
    """Says in an error how to store something that is no array of JAX."""
    if dataclasses.is_dataclass(value):
        name = type(value).__name__
        return f"register {name} with jax.tree_util.register_dataclass, or make it a NamedTuple"
    if isinstance(value, int):
        return "it does not fit int32"
    if getattr(value, "dtype", np.dtype(int)).names:
        return "write {name: array[name] for name in array.dtype.names}"
    return "only numbers and bools are stored: encode it as such, or leave it out"


def check_rows(name: str, batch: Any, storage: Any, letter: str) -> int:
    """Checks that a batch fits the arrays that store it, and returns its number of rows.

    Args:
      name: the word for the batch in errors.
      batch: a pytree of arrays, each with the same number of rows.
      storage: the same pytree of arrays or `jax.ShapeDtypeStruct`s, with any number of rows.
      letter: the letter for the number of rows in errors: "B" for items, "T" for steps.

    Raises:
      ValueError: the structure, a shape or a dtype is another, or the numbers of rows differ.
    """
    check_structure(name, batch, "given to init", storage)
    count = None
    arrays = jax.tree_util.tree_leaves_with_path(item_spec(batch, name))
    for (path, got), expected in zip(arrays, jax.tree.leaves(storage), strict=True):
        label = f"{name}{jax.tree_util.keystr(path)}"
        _check_shape(label, got, expected, count, letter)
        check_dtype(label, got, expected, "as given to init")
        count = got.shape[0]
    assert count is not None
    return count


def check_structure(name: str, batch: Any, whose: str, storage: Any) -> None:
    """Checks that two pytrees have the same structure.

    Args:
      name: the word for `batch` in the error.
      batch: the pytree to check.
      whose: where the expected structure comes from, such as "given to init", for the error.
      storage: a pytree of the expected structure.
    """
    expected, got = jax.tree.structure(storage), jax.tree.structure(batch)
    if expected != got:
        differing = sorted(_paths(name, storage) ^ _paths(name, batch))
        raise ValueError(
            f"{name} must have the structure {whose}, {expected}, got {got}; "
            f"{_describe_difference(differing, batch, storage)}"
        )


def _describe_difference(paths: list[str], batch: Any, storage: Any) -> str:
    if isinstance(batch, list) and not isinstance(storage, list):
        return (
            "to make a batch out of a list of items write "
            "jax.tree.map(lambda *leaves: jnp.stack(leaves), *items)"
        )
    if paths:
        return f"only one of them has {', '.join(paths)}"
    return "they differ in a container or in a static field"


def _paths(name: str, tree: Any) -> set[str]:
    arrays = jax.tree_util.tree_leaves_with_path(tree)
    return {f"{name}{jax.tree_util.keystr(path)}" for path, _ in arrays}


def _check_shape(label: str, got: Any, like: Any, count: int | None, letter: str) -> None:
    """Checks that an array has `count` rows, or any number if that is None, of the stored shape."""
    inner = like.shape[1:]
    fits = got.ndim == like.ndim and got.shape[1:] == inner
    if fits and count in (None, got.shape[0]):
        return
    expected = ", ".join(map(str, (letter if count is None else count, *inner)))
    if count is not None and not got.shape:
        hint = f"; for one value in all rows write jnp.full([{expected}], value)"
    else:
        hint = _suggest_layout(got, inner, of_steps=letter == "T")
    raise ValueError(f"{label} must have shape [{expected}], got {list(got.shape)}{hint}")


def _suggest_layout(got: Any, inner: tuple[int, ...], of_steps: bool) -> str:
    """Says in an error how to turn an array of a wrong shape into one of rows [..., *inner]."""
    shape, each = got.shape, "jax.tree.map(lambda leaf: leaf"
    if shape == inner:
        return (
            f"; for one item, or one row of steps, write {each}[None], x); "
            f"if init was given a batch, give it {each}[0], x)"
        )
    if inner and len(shape) > 1 and (shape[0], *shape[2:]) == inner:
        return f"; rows come first: write {each}.swapaxes(0, 1), x)"
    if not of_steps:
        return ""
    if inner and shape == inner[1:]:
        return f"; for one step write {each}[None, None], x)"
    if inner and len(shape) == len(inner) and shape[1:] == inner[1:]:
        return f"; for flattened steps write {each}.reshape(-1, {inner[0]}, *leaf.shape[1:]), x)"
    return ""


def check_dtype(label: str, got: Any, like: Any, whose: str) -> None:
    """Checks that an array has the expected dtype.

    Args:
      label: the name of the array in the error.
      got: the array to check.
      like: an array of the expected dtype.
      whose: where the expected dtype comes from, such as "as given to init", for the error.
    """
    if got.dtype != like.dtype:
        raise ValueError(
            f"{label} must have dtype {like.dtype}, {whose}, got {got.dtype}; "
            f"write .astype({str(like.dtype)!r}) if that loses nothing"
        )
