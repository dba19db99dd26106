"""Checkpoints of a replay, with Orbax: saved whole or not at all, restored bit for bit.

They need orbax-checkpoint: `pip install 'jaxper[checkpoint]'`. The command
`python -m jaxper.checkpoint DIRECTORY` prints the contents of one.
"""

from __future__ import annotations

import argparse
import os
import threading
import warnings
from typing import Any

import jax
from jax.sharding import Mesh

from jaxper.replay.types import Replay, State
from jaxper.saving import manifest, placement, store, summary
from jaxper.saving.extra import read_extra, to_arrays, to_saved
from jaxper.transfer import state_checks, state_spec

# The unfinished save of each directory. There is at most one: a save waits for the one before it.
_unfinished: dict[str, Saving] = {}
# Held while a save begins, so that saves from several threads wait for each other.
_beginning = threading.Lock()


class Saving:
    """A save that runs while the program continues."""

    def __init__(self, directory: str, manager: Any):
        self._directory, self._manager = directory, manager

    def wait(self) -> None:
        """Waits until the checkpoint is complete on disk; if the save failed, raises its error."""
        try:
            self._manager.wait_until_finished()
        finally:
            if _unfinished.get(self._directory) is self:
                del _unfinished[self._directory]
            self._manager.close()


def save(directory: str | os.PathLike, replay: Replay, state: State, *, extra: Any = None) -> None:
    """Saves a state, and returns when the checkpoint is complete on disk.

    The previous checkpoint in the directory is deleted only then, so there is a complete one
    whenever the process is killed. Only one process may save to a directory at a time.

    Args:
      directory: the directory of the checkpoints, each a subfolder of it; it is created if it does
        not exist.
      replay: the replay that made the state.
      state: the state of one replay; or of several, with leading axes, such as one per device or
        those of a `jax.vmap`.
      extra: a pytree of arrays to save in the same checkpoint, such as parameters, optimizer state
        and random keys: after a kill it never disagrees with the state. A float64 is saved as
        float32 unless `jax_enable_x64` is set.

    Raises:
      ValueError: the replay did not make the state, the directory is a file, `extra` holds
        something that is no array or integers that do not fit the dtype in JAX, or the call is
        inside a compiled function.

    >>> from jaxper import checkpoint
    >>> directory = getfixture("tmp_path") / "checkpoint"
    >>> replay = PrioritizedReplay(8)
    >>> state = replay.add(replay.init(jnp.int32(0)), jnp.arange(3))
    >>> checkpoint.save(directory, replay, state)
    >>> state = checkpoint.restore(directory, replay, jnp.int32(0))
    >>> replay.get(state, jnp.arange(3)).tolist()
    [0, 1, 2]
    """
    save_async(directory, replay, state, extra=extra).wait()


def save_async(
    directory: str | os.PathLike, replay: Replay, state: State, *, extra: Any = None
) -> Saving:
    """Saves a state like `save`, but returns as soon as the arrays were read and may be donated.

    It first waits for an earlier save to the same directory, and raises the error if that failed.
    Wait for the last save before the program ends: Python 3.12 starts no threads at its end, so
    the save would fail, and only the previous checkpoint would remain.

    Args:
      directory: the directory of the checkpoints.
      replay: the replay that made the state.
      state: the state.
      extra: a pytree of arrays to save in the same checkpoint.

    Returns:
      A handle whose `wait()` returns when the checkpoint is complete on disk.

    Raises:
      ValueError: as in `save`.

    >>> from jaxper import checkpoint
    >>> directory = getfixture("tmp_path") / "checkpoint"
    >>> replay = PrioritizedReplay(8)
    >>> state = replay.add(replay.init(jnp.int32(0)), jnp.arange(3))
    >>> saving = checkpoint.save_async(directory, replay, state)
    >>> saving.wait()
    """
    state_checks.check_whole(replay, state)
    state_checks.check_readable((state, extra))
    path, trees = store.resolve(directory), {"state": state_spec.arrays_by_path(state)}
    if extra is not None:
        extra = to_arrays(extra)
        trees["extra"] = to_saved(extra)
    with _beginning:
        _wait_for(path)
        manager = store.begin_write(path, manifest.describe(replay, state, extra), trees)
        saving = _unfinished[str(path)] = Saving(str(path), manager)
    return saving


def restore(
    directory: str | os.PathLike,
    replay: Replay,
    item: Any,
    *,
    extra: Any = None,
    mesh: Mesh | None = None,
    axis_name: str = "data",
) -> Any:
    """Restores the state that was saved, bit for bit: the run continues as if it had never stopped.

    The class, capacity and view of the replay and the item must be the saved ones, since they say
    how to read the arrays. The other fields may differ: `epsilon`, `strategy` and `normalize` are
    then those of the replay, while `alpha` is always the saved one, which the state holds.

    With a mesh, the restored state has one shard for each device along `axis_name`, and each device
    reads its own. Their number may differ from the saved one if one number divides the other, and
    then the capacity of a shard may differ too. The shards are joined or split:

    - Items are dealt out by age. The oldest are dropped if they do not fit, and a `Dropped` warning
      says how many.
    - Ids begin anew.
    - If `alpha` or `discount` differs between joined shards, that of the first is kept.
    - A ring row of a stream is one moment of all environments of a shard. So streams are joined one
      after the other, or split into ranges of time, with a cut at the end of each.

    Args:
      directory: the directory that was passed to `save`; it is only read.
      replay: the replay that made the state.
      item: arrays or `jax.ShapeDtypeStruct`s of one item, as for `replay.init`.
      extra: arrays or `jax.ShapeDtypeStruct`s like those saved as `extra`, whose devices the
        restored ones get; None leaves the saved ones unread.
      mesh: the devices of a sharded state. Without a mesh the state is restored to the default
        device, with the leading axes that it was saved with.
      axis_name: the axis of the mesh with one shard per device.

    Returns:
      The state, on a mesh arrays [shards, ...]; if `extra` is passed, the pair of the state and
      the saved `extra`.

    Raises:
      ValueError: there is no checkpoint, it was saved under another configuration or item (found
        before any array is read), it is damaged, or neither number of shards divides the other.

    >>> from jaxper import checkpoint
    >>> directory = getfixture("tmp_path") / "checkpoint"
    >>> replay = PrioritizedReplay(8)
    >>> state = replay.add(replay.init(jnp.int32(0)), jnp.arange(3))
    >>> checkpoint.save(directory, replay, state, extra={"steps": jnp.int32(5)})
    >>> extra = {"steps": jax.ShapeDtypeStruct((), jnp.int32)}
    >>> state, extra = checkpoint.restore(directory, replay, jnp.int32(0), extra=extra)
    >>> int(replay.size(state)), int(extra["steps"])
    (3, 5)
    """
    path = store.resolve(directory)
    _wait_for(path)
    place = store.find_latest(path)
    saved = store.read_manifest(place)
    manifest.check_format(place.directory, saved)
    leading = tuple(saved["leading"])
    layout = None if mesh is None else placement.plan_layout(mesh, axis_name, leading)
    changes = layout is not None and layout.saved != layout.shards
    manifest.check_replay(place.directory, saved, replay, item, any_capacity=changes)
    manifest.check_extra(place.directory, saved, extra)
    saved_replay = manifest.restore_replay(saved, replay)
    spec = state_spec.spec(saved_replay, item, leading)
    manifest.check_state(place.directory, saved, spec)
    state = _read_state(place, spec, layout)
    if layout is not None and changes:
        state, dropped, live = placement.redistribute(layout, saved_replay, replay, state)
        if dropped:
            warnings.warn(Dropped(dropped, live, layout.shards, replay.capacity), stacklevel=2)
    state = placement.add_or_drop_minima(replay, state)
    state = state if layout is None else jax.device_put(state, layout.state_sharding)
    return state if extra is None else (state, read_extra(place, extra, mesh))


class Dropped(UserWarning):
    """The warning that live items did not fit the shards of a restored state.

    Attributes:
      dropped: the number of live items that were dropped.
      live: the number of live items before.
    """

    def __init__(self, dropped: int, live: int, shards: int, capacity: int):
        super().__init__(
            f"{dropped} of {live} live items did not fit {shards} shards of capacity {capacity}: "
            f"the oldest were dropped"
        )
        self.dropped, self.live = dropped, live


def _wait_for(directory: store.epath.Path) -> None:
    """Waits until an unfinished save of this process to the directory is complete."""
    if str(directory) in _unfinished:
        _unfinished[str(directory)].wait()


def _finish() -> None:
    """Waits for all unfinished saves."""
    for saving in list(_unfinished.values()):
        saving.wait()


# On Python 3.11 a program that ends during a save would wait for ever for threads of Orbax.
threading._register_atexit(_finish)  # type: ignore[attr-defined]


def _read_state(place: store.Place, spec: State, layout: placement.Layout | None) -> State:
    """Reads the saved state; on a mesh each device reads the shards that it needs."""
    axes = spec.next_id.ndim
    sharding = store.default_sharding() if layout is None else layout.read_sharding(axes)
    wanted = {
        name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)
        for name, array in state_spec.arrays_by_path(spec).items()
    }
    found = store.read_arrays(place, "state", wanted)
    state = jax.tree.unflatten(jax.tree.structure(spec), list(found.values()))
    if layout is None or axes:
        return state
    return jax.tree.map(lambda array: array[None], state)


def main() -> None:
    """Prints the contents of a checkpoint."""
    parser = argparse.ArgumentParser(
        prog="python -m jaxper.checkpoint", description="Prints the contents of a checkpoint."
    )
    parser.add_argument("directory", help="the directory that was passed to jaxper.checkpoint.save")
    directory = parser.parse_args().directory
    # Nothing is computed, so leave a GPU free for other programs.
    jax.config.update("jax_platforms", "cpu")
    try:
        print(summary.make_table(store.find_latest(store.resolve(directory))))
    except ValueError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
