"""Checkpoints of a run: it stops with Ctrl-C, and later goes on as if it had never stopped."""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from jax.experimental import multihost_utils

# A run may go on with other values of these options.
CHANGEABLE = ("process", "processes")

# A run is saved after this many parts, and when it stops.
SAVE_EVERY = 10


def parse_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Adds the options for saving to a parser, and parses the command line."""
    add = parser.add_argument
    add("--checkpoint", type=Path, help="directory to save to, regularly and on Ctrl-C")
    add("--resume", action="store_true", help="go on with the run that was saved there")
    arguments = parser.parse_args()
    if arguments.resume and not arguments.checkpoint:
        parser.error("--resume needs --checkpoint DIR")
    return arguments


class Interrupt:
    """A request to stop by Ctrl-C, which the loop follows later. A second Ctrl-C stops at once."""

    def __init__(self):
        self.requested = False
        signal.signal(signal.SIGINT, self._request)

    def requested_anywhere(self) -> bool:
        """Whether any process was asked to stop. All of them have to stop after the same part."""
        return bool(multihost_utils.process_allgather(np.bool_(self.requested)).any())

    def _request(self, *_) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("\nstopping after this part; Ctrl-C again stops at once", file=sys.stderr)


class Saver:
    """The checkpoint of a run, which holds its replay and everything else in one piece.

    The runs are a NamedTuple, whose field `replay_state` holds the state of the replay.

    Args:
      arguments: the parsed options.
      name: the folder of the run within the directory of `--checkpoint`.
      replay: the configuration of the replay.
      item: the argument of its `init`.
      mesh: the mesh of the runs, if they are sharded.
    """

    def __init__(
        self, arguments: argparse.Namespace, name: str, replay: Any, item: Any, mesh: Any = None
    ):
        from jaxper import checkpoint

        self.checkpoint, self.directory = checkpoint, Path(arguments.checkpoint).expanduser() / name
        self.replay, self.item, self.mesh = replay, item, mesh
        self.interrupt, self.resumes = Interrupt(), arguments.resume
        self.settings = {
            name: value
            for name, value in vars(arguments).items()
            if name not in CHANGEABLE and type(value) in (int, float)
        }
        if self.exists() and not self.resumes:
            sys.exit(
                f"{self.directory} holds a checkpoint; write --resume, or another --checkpoint"
            )

    def exists(self) -> bool:
        """Whether there is a whole checkpoint. One that was not finished has a longer name."""
        names = (path.name.removeprefix("jaxper_") for path in self.directory.glob("jaxper_*"))
        return any(name.isdigit() for name in names)

    def restore(self, runs: Any, progress: Any) -> tuple[Any, Any]:
        """Returns `runs` and `progress` as they were saved, or unchanged if nothing was."""
        if not self.exists():
            return runs, progress
        extra = (self.settings, runs._replace(replay_state=()), progress)
        replay_states, (settings, runs, progress) = self.checkpoint.restore(
            self.directory, self.replay, self.item, extra=extra, mesh=self.mesh
        )
        for name, value in settings.items():
            if abs(value - self.settings[name]) > 1e-6:
                sys.exit(f"the run was begun with --{name.replace('_', '-')} {value}")
        return runs._replace(replay_state=replay_states), progress

    def save(self, part: int, last: bool, runs: Any, progress: Any) -> None:
        """Saves after every `SAVE_EVERY` parts, at the end, and when the run was asked to stop.

        While the run goes on it does not wait for the files. When asked to stop it exits.
        """
        stopping = self.interrupt.requested_anywhere() and not last
        if not (stopping or last or part % SAVE_EVERY == 0):
            return
        extra = (self.settings, runs._replace(replay_state=()), progress)
        saving = self.checkpoint.save_async(
            self.directory, self.replay, runs.replay_state, extra=extra
        )
        if stopping or last:
            saving.wait()
        if stopping:
            sys.exit(f"stopped and saved in {self.directory}; --resume goes on")
