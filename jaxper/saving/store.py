"""Where checkpoints lie: numbered subfolders, each whole or not there, written by Orbax.

A new one gets a temporary name, and its own when all of it is written; the one before is deleted
after that. So there is a whole one at any time, whenever the process is killed.
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
        "jaxper.checkpoint needs orbax-checkpoint: pip install 'jaxper[checkpoint]'"
    ) from error

PREFIX = "jaxper"  # of the subfolders: others in the directory are let alone


class Place(NamedTuple):
    """One whole checkpoint."""

    directory: epath.Path
    step: int  # of its subfolder

    @property
    def folder(self) -> epath.Path:
        return self.directory / f"{PREFIX}_{self.step}"


def resolve(directory: str | os.PathLike) -> epath.Path:
    """The directory, absolute, `~` resolved."""
    return epath.Path(directory).expanduser().resolve()


def find_latest(directory: epath.Path) -> Place:
    """The newest whole checkpoint in a directory."""
    if not directory.exists():
        raise ValueError(f"{directory} is not a checkpoint: there is no such directory")
    if not directory.is_dir():
        raise ValueError(f"{directory} is not a checkpoint: it is a file, not a directory")
    with _open_manager(directory, create=False) as manager:
        step = manager.latest_step()
    if step is None:
        raise ValueError(
            f"{directory} is not a checkpoint: it has no whole {PREFIX}_... in it; "
            f"give the directory that jaxper.checkpoint.save was given"
        )
    return Place(directory, step)


def begin_write(directory: epath.Path, manifest: Any, trees: dict[str, dict[str, Array]]) -> Any:
    """Begins to write; gives the Orbax manager to wait for. All arrays have been read by then."""
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"cannot save to {directory}: it is a file, not a directory")
    manager = _open_manager(directory, create=True)
    stored = {name: _drop_empty(tree) for name, tree in trees.items()}
    arrays = {name: ocp.args.PyTreeSave(tree) for name, tree in stored.items() if tree}
    step = (manager.latest_step() or 0) + 1
    args = ocp.args.Composite(manifest=ocp.args.JsonSave(manifest), **arrays)
    try:
        manager.save(step, args=args)
    except BaseException:  # what it has begun is not to meet the next save
        manager.close()
        raise
    return manager


def read_manifest(place: Place) -> dict[str, Any]:
    """What `write` was given as such."""
    args = ocp.args.Composite(manifest=ocp.args.JsonRestore())
    found = _restore(place, args)["manifest"]
    if not isinstance(found, dict) or "format" not in found:
        raise ValueError(f"{place.folder} is not a checkpoint of jaxper: its manifest says nothing")
    return found


def read_arrays(place: Place, name: str, specs: dict[str, jax.ShapeDtypeStruct]) -> dict[str, Any]:
    """Arrays of one of the trees, where the specs' shardings want them; without one on the host.

    No others are read.
    """
    wanted = _drop_empty(specs)
    empty = {name: _empty_array(spec) for name, spec in specs.items()}
    if wanted:
        restore_args = {key: _restore_args(spec) for key, spec in wanted.items()}
        args = ocp.args.PyTreeRestore(wanted, restore_args, partial_restore=True)
        empty |= _restore(place, ocp.args.Composite(**{name: args}))[name]
    return empty


def default_sharding() -> Sharding:
    """The default device."""
    return jnp.zeros(()).sharding


def nbytes(path: epath.Path) -> int:
    """Bytes on disk of a folder or file."""
    return sum(map(nbytes, path.iterdir())) if path.is_dir() else path.stat().length


def _open_manager(directory: epath.Path, create: bool) -> ocp.CheckpointManager:
    options = ocp.CheckpointManagerOptions(step_prefix=PREFIX, max_to_keep=1, create=create)
    return ocp.CheckpointManager(directory, options=options)


def _drop_empty(tree: dict[str, Any]) -> dict[str, Any]:
    """Those that are stored: Orbax takes no array without elements."""
    return {name: leaf for name, leaf in tree.items() if leaf.size}


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
    """What Orbax reads; one clear error where it cannot."""
    try:
        with _open_manager(place.directory, create=False) as manager:
            return manager.restore(place.step, args=args)
    except Exception as error:
        reason = str(error).strip().split("\n")[0][:200]
        raise ValueError(
            f"{place.folder} cannot be read: a file in it is missing, truncated or damaged; "
            f"nothing was changed, so restore a copy of it ({type(error).__name__}: {reason})"
        ) from error
