"""Checkpoints on disk: numbered subfolders of a directory, written and read by Orbax.

Orbax writes a checkpoint under a temporary name, renames it once it is complete, and only then
deletes the previous one. So there is a complete checkpoint whenever the process is killed.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import Sharding

try:
    import orbax.checkpoint as ocp
    from etils import epath
except ImportError as error:
    raise ImportError(
        "jaxper.checkpoint needs orbax-checkpoint: pip install 'jaxper[checkpoint]', or before a "
        "release pip install 'jaxper[checkpoint] @ git+ADDRESS', the address of the repository"
    ) from error

# The prefix of the subfolders; anything else in the directory is left alone.
PREFIX = "jaxper"


class Place(NamedTuple):
    """The place of one complete checkpoint: a directory, and the number of a subfolder."""

    directory: epath.Path
    step: int

    @property
    def folder(self) -> epath.Path:
        """The subfolder."""
        return self.directory / f"{PREFIX}_{self.step}"


def resolve(directory: str | os.PathLike) -> epath.Path:
    """Returns the absolute path of a directory, with `~` expanded."""
    return epath.Path(directory).expanduser().resolve()


def find_latest(directory: epath.Path) -> Place:
    """Finds the newest complete checkpoint in a directory.

    Raises:
      ValueError: there is none.
    """
    if not directory.exists():
        raise ValueError(f"{directory} is not a checkpoint: there is no such directory")
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a checkpoint: it is a file, not a directory")
    with _open_manager(directory, create=False) as manager:
        step = manager.latest_step()
    if step is None:
        raise ValueError(
            f"{directory} is not a checkpoint: it has no whole {PREFIX}_... in it; "
            f"pass the directory that was passed to jaxper.checkpoint.save"
        )
    return Place(directory, step)


def begin_write(directory: epath.Path, manifest: Any, trees: dict[str, dict[str, Array]]) -> Any:
    """Begins to write a checkpoint, and returns once all arrays were read.

    Args:
      directory: the directory of the checkpoints; it is created if it does not exist.
      manifest: a description in types that JSON has.
      trees: the arrays to write, by the name of their pytree and their path in it.

    Returns:
      The Orbax manager. The checkpoint is complete once its `wait_until_finished` returns.

    Raises:
      ValueError: the directory is a file.
    """
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"cannot save to {directory}: it is a file, not a directory")
    manager = _open_manager(directory, create=True)
    stored = {name: _drop_empty(tree) for name, tree in trees.items()}
    arrays = {name: ocp.args.PyTreeSave(tree) for name, tree in stored.items() if tree}
    step = (manager.latest_step() or 0) + 1
    args = ocp.args.Composite(manifest=ocp.args.JsonSave(manifest), **arrays)
    try:
        manager.save(step, args=args)
    except BaseException:
        # An unfinished write must not run on beside the next save.
        manager.close()
        raise
    return manager


def read_manifest(place: Place) -> dict[str, Any]:
    """Reads the manifest that `begin_write` wrote."""
    args = ocp.args.Composite(manifest=ocp.args.JsonRestore())
    found = _restore(place, args)["manifest"]
    if not isinstance(found, dict) or "format" not in found:
        raise ValueError(
            f"{place.folder} is not a checkpoint of jaxper: the manifest has no format"
        )
    return found


def read_arrays(place: Place, name: str, specs: dict[str, jax.ShapeDtypeStruct]) -> dict[str, Any]:
    """Reads some arrays of one pytree, and no others.

    Args:
      place: the checkpoint.
      name: the name of the pytree.
      specs: the shape and dtype of each array to read, by its path.

    Returns:
      The arrays by their path, each with the sharding of its spec, or in NumPy if that has none.
    """
    wanted = _drop_empty(specs)
    arrays = {name: _empty_array(spec) for name, spec in specs.items()}
    if wanted:
        restore_args = {key: _restore_args(spec) for key, spec in wanted.items()}
        args = ocp.args.PyTreeRestore(wanted, restore_args, partial_restore=True)
        arrays |= _restore(place, ocp.args.Composite(**{name: args}))[name]
    return arrays


def default_sharding() -> Sharding:
    """The sharding of an array on the default device."""
    return jnp.zeros(()).sharding


def nbytes(path: epath.Path) -> int:
    """Returns the size on disk of a folder or file, in bytes."""
    return sum(map(nbytes, path.iterdir())) if path.is_dir() else path.stat().length


def _open_manager(directory: epath.Path, create: bool) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(step_prefix=PREFIX, max_to_keep=1, create=create)
    return ocp.CheckpointManager(directory, options=options)


def _drop_empty(tree: dict[str, Any]) -> dict[str, Any]:
    """Returns the arrays that have elements: Orbax cannot save the others."""
    return {name: array for name, array in tree.items() if array.size}


def _empty_array(spec: jax.ShapeDtypeStruct) -> Any:
    zeros = np.zeros(spec.shape, spec.dtype)
    return zeros if spec.sharding is None else jax.device_put(zeros, spec.sharding)


def _restore_args(spec: jax.ShapeDtypeStruct) -> ocp.RestoreArgs:
    if spec.sharding is None:
        return ocp.RestoreArgs(restore_type=np.ndarray)
    return ocp.ArrayRestoreArgs(
        sharding=spec.sharding, global_shape=spec.shape, dtype=spec.dtype, strict=True
    )


def _restore(place: Place, args: ocp.args.Composite) -> Any:
    """Reads with Orbax, and raises one error that names the folder if that fails."""
    try:
        with _open_manager(place.directory, create=False) as manager:
            return manager.restore(place.step, args=args)
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise ValueError(
            f"{place.folder} cannot be read: a file in it is missing, truncated or damaged; "
            f"nothing was changed, so restore a copy of it ({type(error).__name__}: {reason})"
        ) from error
