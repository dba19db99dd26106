"""What is refused of the pytrees that are stored: each error names the leaf."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxper.checks import require
from jaxper.stream.timestep import TimeStep


def item_spec(item: Any, name: str = "item") -> Any:
    """Shape and dtype of each leaf of one item, or of a batch that errors call `name`."""
    spec = jax.tree_util.tree_map_with_path(
        lambda path, leaf: _spec_of(f"{name}{jax.tree_util.keystr(path)}", leaf), item
    )
    if not jax.tree.leaves(spec):
        raise ValueError(f"an item needs at least one array, got {item!r}")
    for path, leaf in jax.tree_util.tree_leaves_with_path(spec):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.extended):
            raise ValueError(
                f"{name}{jax.tree_util.keystr(path)} must be of numbers or bools, "
                f"got {leaf.dtype}; of random keys store jax.random.key_data(keys)"
            )
    return spec


def _spec_of(name: str, leaf: Any) -> jax.ShapeDtypeStruct:
    try:
        spec = jax.eval_shape(lambda array: array, leaf)
        if getattr(spec.dtype, "kind", None) in ("m", "M"):  # NumPy's dates and times
            raise TypeError
        return spec
    except (OverflowError, TypeError):
        raise ValueError(f"{name} must be an array, got {leaf!r}; {_instead(leaf)}") from None


def _instead(leaf: Any) -> str:
    """What to write for a leaf that is no array of JAX."""
    if dataclasses.is_dataclass(leaf):
        name = type(leaf).__name__
        return f"register {name} with jax.tree_util.register_dataclass, or make it a NamedTuple"
    if isinstance(leaf, int):
        return "it does not fit int32"
    if getattr(leaf, "dtype", np.dtype(int)).names:
        return "write {name: array[name] for name in array.dtype.names}"
    return "only numbers and bools are stored: encode it as such, or leave it out"


def time_step(item: Any) -> TimeStep:
    """Shape and dtype of each leaf of one step of one environment."""
    if not isinstance(item, TimeStep):
        raise ValueError(
            f"a stream stores steps, got {type(item).__name__}; write "
            f"jaxper.TimeStep(observation, action, reward, terminated, truncated)"
        )
    spec = item_spec(item)
    for name in ("terminated", "truncated"):
        flag = getattr(spec, name)
        if not _is_array(flag) or flag.shape != () or flag.dtype != jnp.bool_:
            raise ValueError(
                f"{name} must be one bool, shape (), got {flag}; write jnp.bool_(False), or of "
                f"many steps jax.tree.map(lambda leaf: leaf[0, 0], steps)"
            )
    reward = spec.reward
    if not _is_array(reward) or not require.is_real(reward.dtype):
        raise ValueError(f"reward must be one array of a real dtype, got {reward}")
    return spec


def rows(name: str, batch: Any, storage: Any, letter: str) -> int:
    """The number of rows of `batch`, which has the leaves of `storage` but for the first axis.

    Args:
      name: what errors call the batch.
      batch: a pytree.
      storage: arrays, or their shapes and dtypes.
      letter: what errors call the number of rows.
    """
    _same_structure(name, batch, "given to init", storage)
    count = None
    leaves = jax.tree_util.tree_leaves_with_path(item_spec(batch, name))
    for (path, got), stored in zip(leaves, jax.tree.leaves(storage), strict=True):
        leaf = f"{name}{jax.tree_util.keystr(path)}"
        _check_shape(leaf, got, stored, count, letter)
        _check_dtype(leaf, got, stored, "as given to init")
        count = got.shape[0]
    assert count is not None
    return count


def stack(stack: Any, observation: Any, leading: tuple[int, ...], axis: int) -> None:
    """Leaves of `stack` are those of `observation` with one axis more, `axis` after the leading."""
    _same_structure("observation", observation, "of stack", stack)
    olds = jax.tree_util.tree_leaves_with_path(item_spec(stack, "stack"))
    news = jax.tree.leaves(item_spec(observation, "observation"))
    for (path, old), new in zip(olds, news, strict=True):
        leaf = jax.tree_util.keystr(path)
        if new.shape[: len(leading)] != leading:
            raise ValueError(
                f"observation{leaf} must begin with the axes of first, {leading}, got {new.shape}"
            )
        axis_fits(axis, new.ndim - len(leading), leaf)
        at = axis + len(leading) if axis >= 0 else axis + old.ndim
        if 0 in old.shape[at : at + 1]:
            raise ValueError(f"stack{leaf} must hold at least one frame, got shape {old.shape}")
        without = old.shape[:at] + old.shape[at + 1 :]
        if without != new.shape or old.ndim != new.ndim + 1:
            raise ValueError(
                f"stack{leaf} must have the shape of the observation, {new.shape}, with an axis "
                f"of frames more, stack_axis={axis} of each observation, got {old.shape}"
            )
        _check_dtype(f"observation{leaf}", new, old, "as in the stack")


def axis_fits(axis: int, ndim: int, leaf: str) -> None:
    """An observation of `ndim` axes can get another one at `axis`."""
    if not -ndim - 1 <= axis <= ndim:
        raise ValueError(
            f"stack_axis must be from {-ndim - 1} to {ndim} for observation{leaf}, "
            f"which has {ndim} axes, got {axis}"
        )


def _is_array(leaf: Any) -> bool:
    return hasattr(leaf, "dtype")


def _same_structure(name: str, batch: Any, whose: str, storage: Any) -> None:
    expected, got = jax.tree.structure(storage), jax.tree.structure(batch)
    if expected != got:
        differing = sorted(_paths(name, storage) ^ _paths(name, batch))
        raise ValueError(
            f"{name} must have the structure {whose}, {expected}, got {got}; "
            f"{_difference(differing, batch, storage)}"
        )


def _difference(paths: list[str], batch: Any, storage: Any) -> str:
    if isinstance(batch, list) and not isinstance(storage, list):
        return "of a list of items write jax.tree.map(lambda *leaves: jnp.stack(leaves), *items)"
    if paths:
        return f"only one of them has {', '.join(paths)}"
    return "they differ in a container or in a static field"


def _paths(name: str, tree: Any) -> set[str]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {f"{name}{jax.tree_util.keystr(path)}" for path, _ in leaves}


def _check_shape(leaf: str, got: Any, stored: Any, count: int | None, letter: str) -> None:
    """A batch's leaf [count, ...], or with any number of rows where `count` is None."""
    inner = stored.shape[1:]
    fits = got.ndim == stored.ndim and got.shape[1:] == inner
    if fits and count in (None, got.shape[0]):
        return
    expected = ", ".join(map(str, (letter if count is None else count, *inner)))
    if count is not None and not got.shape:
        hint = f"; for one value in all rows write jnp.full([{expected}], value)"
    else:
        hint = _shape_hint(got, inner, of_steps=letter == "T")
    raise ValueError(f"{leaf} must have shape [{expected}], got {list(got.shape)}{hint}")


def _shape_hint(got: Any, inner: tuple[int, ...], of_steps: bool) -> str:
    """What to write where a leaf of rows [..., *inner] was given in another layout."""
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


def _check_dtype(leaf: str, got: Any, stored: Any, whose: str) -> None:
    if got.dtype != stored.dtype:
        raise ValueError(
            f"{leaf} must have dtype {stored.dtype}, {whose}, got {got.dtype}; "
            f"write .astype({str(stored.dtype)!r}) if that loses nothing"
        )
