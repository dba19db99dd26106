"""Stopping a run with Ctrl-C and going on with it later, as if it had never stopped."""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
from jax.experimental import multihost_utils

CHANGEABLE = ("process", "processes")  # settings that a run may go on without
SAVE_EVERY = 10  # parts of a run after which it is saved, besides when it is stopped


def parse_arguments(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """The arguments of the command line, with those for saving."""
    add = parser.add_argument
    add("--checkpoint", type=Path, help="directory to save to, every so often and on Ctrl-C")
    add("--resume", action="store_true", help="go on with the run that was saved there")
    arguments = parser.parse_args()
    if arguments.resume and not arguments.checkpoint:
        parser.error("--resume needs --checkpoint DIR")
    return arguments


class Interrupt:
    """Ctrl-C as a question that the loop answers when it can; a second one stops at once."""

    def __init__(self):
        self.requested = False
        signal.signal(signal.SIGINT, self._request)

    def requested_anywhere(self) -> bool:
        """Whether any process was asked: all have to stop after the same part."""
        return bool(multihost_utils.process_allgather(np.bool_(self.requested)).any())

    def _request(self, *_) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        print("\nstopping after this part; Ctrl-C again stops at once", file=sys.stderr)


class Saver:
    """One run's checkpoint: its replays, and in the same piece all else that it carries.

    The field `replay_state` of `runs`, a NamedTuple, holds the state of the replay; `item` is what
    its `init` got, and `mesh` where the runs are sharded.
    """

    def __init__(
        self, arguments: argparse.Namespace, name: str, replay: Any, item: Any, mesh: Any = None
    ):
        from jaxper import checkpoint

        self.checkpoint, self.directory = checkpoint, Path(arguments.checkpoint).expanduser() / name
        self.replay, self.item, self.mesh = replay, item, mesh
        self.interrupt, self.resumes = Interrupt(), arguments.resume
        given = {name: value for name, value in vars(arguments).items() if name not in CHANGEABLE}
        self.settings = {k: value for k, value in given.items() if type(value) in (int, float)}
        if self.exists() and not self.resumes:
            sys.exit(
                f"{self.directory} holds a checkpoint; write --resume, or another --checkpoint"
            )

    def exists(self) -> bool:
        """Whether there is a whole checkpoint: one cut off has a longer name."""
        names = (path.name.removeprefix("jaxper_") for path in self.directory.glob("jaxper_*"))
        return any(name.isdigit() for name in names)

    def restore(self, runs: Any, progress: Any) -> tuple[Any, Any]:
        """`runs` and `progress` as they were saved, or as they are where nothing was."""
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
        """Saves every so many parts while the run goes on; at the end or when asked it waits."""
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
