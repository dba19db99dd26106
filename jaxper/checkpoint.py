"""Checkpoints of a replay, with Orbax: saved whole or not at all, restored bit for bit.

Needs the extra `checkpoint`. `python -m jaxper.checkpoint DIRECTORY` prints what is in one.
"""

from __future__ import annotations

import argparse
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any

import jax
from jax.sharding import Mesh

from jaxper.replay import state_checks
from jaxper.saving import manifest, placement, store, summary
from jaxper.saving.extra import read_extra, to_arrays, to_saved
from jaxper.transfer import state_spec

if TYPE_CHECKING:
    from jaxper.transfer.rows import Replay, State

_under_way: dict[str, Saving] = {}  # by directory: one is written at a time
_starting = threading.Lock()  # a save waits for the one before, also in other threads


class Saving:
    """A save that goes on while the program does."""

    def __init__(self, directory: str, manager: Any):
        self._directory, self._manager = directory, manager

    def wait(self) -> None:
        """Returns when the checkpoint is whole on disk; raises what went wrong with it."""
        try:
            self._manager.wait_until_finished()
        finally:
            if _under_way.get(self._directory) is self:
                del _under_way[self._directory]
            self._manager.close()


def save(directory: str | os.PathLike, replay: Replay, state: State, *, extra: Any = None) -> None:
    """Saves a state, and returns when the checkpoint is whole on disk.

    The one before it in this directory is deleted only then: whenever the process is killed, there
    is a whole one. A directory has one writer at a time.

    Args:
      directory: where to; it is made if it is not there. Every checkpoint is a subfolder of it.
      replay: the replay that the state is of.
      state: as it is, with leading axes too: a `jax.vmap` of replays, or one per device.
      extra: a pytree of arrays to save in the same piece, such as params, optimizer state and
        random keys: after a kill the two never disagree.

    Raises:
      ValueError: the state is not one of this replay, the directory is a file, or `extra` holds
        what is no array, or integers that do not fit the types that JAX has enabled (a float64
        is saved as a float32 where that is not), or it is called in a compiled function.

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
    """`save` that returns as soon as the arrays were read; then they may be donated.

    It waits for an earlier save to the same directory, and raises what went wrong with that. Wait
    for the last one before the program ends: Python 3.12 starts no threads at its end, so the save
    fails then, and the checkpoint before it is what remains.

    Returns:
      A handle whose `wait()` returns when the checkpoint is whole on disk.
    """
    state_checks.whole(replay, state)
    state_checks.readable((state, extra))
    path, trees = store.resolve(directory), {"state": state_spec.named(state)}
    if extra is not None:
        extra = to_arrays(extra)
        trees["extra"] = to_saved(extra)
    with _starting:
        _wait_for(path)
        manager = store.begin_write(path, manifest.describe(replay, state, extra), trees)
        saving = _under_way[str(path)] = Saving(str(path), manager)
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
    """The state that was saved, bit for bit: the run continues as if it had never stopped.

    What the arrays mean has to be as it was: class, capacity and view of the replay, and the item.
    The `alpha` of the state is the saved one, whatever the replay says; `epsilon`, `strategy` and
    `normalize` are the replay's.

    With a mesh, the state is that of one replay for each device along `axis_name` (every leaf has
    a leading axis with one row per device), and each device reads its own. Their number may be
    another than was saved if one divides the other; the capacity, which is each shard's, may then
    be another too. What the shards hold is dealt out anew, the oldest dropped where it does not
    fit: a `Dropped` warning says how many. Ids begin anew; where shards are joined whose `alpha` or
    `discount` differ, the first one's is kept. A row of a stream is one moment of all
    environments of a shard, so streams are put one after the other or split into ranges of time,
    each with a cut at its end.

    Args:
      directory: what `save` was given; it is only read.
      replay: the replay as it was.
      item: what `init` was given.
      extra: arrays or `jax.ShapeDtypeStruct`s like those saved as `extra`; they come to where
        these are.
      mesh: the devices of a sharded state; without one the state comes to one device, with the
        leading axes that it was saved with.
      axis_name: the axis of the mesh with a shard per device.

    Returns:
      The state; with `extra` the pair of it and what was saved as `extra`.

    Raises:
      ValueError: it is no checkpoint, one of another configuration or item (before any array is
        read), a damaged one, or the numbers of shards do not divide.
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
    """Live items did not fit the shards of a restored state."""

    def __init__(self, dropped: int, live: int, shards: int, capacity: int):
        super().__init__(
            f"{dropped} of {live} live items did not fit {shards} shards of capacity {capacity}: "
            f"the oldest were dropped"
        )
        self.dropped, self.live = dropped, live


def _wait_for(directory: store.epath.Path) -> None:
    """Until what this process saves there is whole."""
    if str(directory) in _under_way:
        _under_way[str(directory)].wait()


def _finish() -> None:
    """Waits for all that is under way."""
    for saving in list(_under_way.values()):
        saving.wait()


# On Python 3.11 Orbax would else wait for ever, at the end of a program, for threads of its own.
threading._register_atexit(_finish)  # type: ignore[attr-defined]


def _read_state(place: store.Place, spec: State, layout: placement.Layout | None) -> State:
    """The saved state; on a mesh with its shards where they are needed."""
    sharding = (
        store.default_sharding() if layout is None else layout.read_sharding(spec.next_id.ndim)
    )
    wanted = {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)
        for name, leaf in state_spec.named(spec).items()
    }
    found = store.read_arrays(place, "state", wanted)
    state = jax.tree.unflatten(jax.tree.structure(spec), list(found.values()))
    if layout is None or spec.next_id.ndim:
        return state
    return jax.tree.map(lambda leaf: leaf[None], state)


def main() -> None:
    """Prints what is in a checkpoint."""
    parser = argparse.ArgumentParser(
        prog="python -m jaxper.checkpoint", description="Prints what is in a checkpoint."
    )
    parser.add_argument("directory", help="what jaxper.checkpoint.save was given")
    directory = parser.parse_args().directory
    jax.config.update("jax_platforms", "cpu")  # nothing is computed: leave a GPU to who uses it
    try:
        print(summary.make_table(store.find_latest(store.resolve(directory))))
    except ValueError as error:
        parser.exit(2, f"{error}\n")


if __name__ == "__main__":
    main()
