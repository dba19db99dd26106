"""What is refused of the pytrees that are stored: each error names the leaf."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxper import _checks
from jaxper.timestep import TimeStep


def item_spec(item: Any) -> Any:
    """Shape and dtype of each leaf of one item."""
    spec = jax.eval_shape(lambda leaves: leaves, item)
    if not jax.tree.leaves(spec):
        raise ValueError(f"an item needs at least one array, got {item!r}")
    return spec


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
    if not _is_array(reward) or not _checks.is_real(reward.dtype):
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
    leaves = jax.tree_util.tree_leaves_with_path(item_spec(batch))
    for (path, got), stored in zip(leaves, jax.tree.leaves(storage), strict=True):
        leaf = f"{name}{jax.tree_util.keystr(path)}"
        _check_shape(leaf, got, stored, letter if count is None else str(count))
        _check_dtype(leaf, got, stored, "as given to init")
        count = got.shape[0]
    assert count is not None
    return count


def stack(stack: Any, observation: Any, leading: tuple[int, ...], axis: int) -> None:
    """Leaves of `stack` are those of `observation` with one axis more, `axis` after the leading."""
    _same_structure("observation", observation, "of stack", stack)
    olds = jax.tree_util.tree_leaves_with_path(item_spec(stack))
    for (path, old), new in zip(olds, jax.tree.leaves(item_spec(observation)), strict=True):
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
            f"only one of them has {', '.join(differing) or 'such containers'}"
        )


def _paths(name: str, tree: Any) -> set[str]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {f"{name}{jax.tree_util.keystr(path)}" for path, _ in leaves}


def _check_shape(leaf: str, got: Any, stored: Any, count: str) -> None:
    """A batch's leaf [count, ...]; a letter as `count` stands for any number."""
    inner = stored.shape[1:]
    if (
        got.shape[1:] == inner
        and got.ndim == stored.ndim
        and count in (str(got.shape[0]), "B", "T")
    ):
        return
    hint = ""
    if got.shape == inner:
        hint = "; for one item, or one row of steps, write jax.tree.map(lambda leaf: leaf[None], x)"
    elif got.ndim == stored.ndim > 1 and (got.shape[0], *got.shape[2:]) == inner:
        hint = "; rows come first: write jax.tree.map(lambda leaf: leaf.swapaxes(0, 1), x)"
    elif len(inner) > 0 and got.shape == inner[1:]:
        hint = "; for one step write jax.tree.map(lambda leaf: leaf[None, None], x)"
    elif len(inner) > 0 and got.shape[1:] == inner[1:] and got.ndim == len(inner):
        hint = "; where steps were flattened write jax.tree.map(lambda leaf: leaf.reshape(" + (
            f"-1, {inner[0]}, *leaf.shape[1:]), x)"
        )
    expected = ", ".join(map(str, (count, *inner)))
    raise ValueError(f"{leaf} must have shape [{expected}], got {list(got.shape)}{hint}")


def _check_dtype(leaf: str, got: Any, stored: Any, whose: str) -> None:
    if got.dtype != stored.dtype:
        raise ValueError(
            f"{leaf} must have dtype {stored.dtype}, {whose}, got {got.dtype}; "
            f"cast it yourself if that loses nothing"
        )
