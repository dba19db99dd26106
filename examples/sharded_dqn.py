"""The double DQN of `dqn.py`, data-parallel over devices and processes.

Each device has its own environments and its own replay, and draws its part of the batch. All have
the same learner, which takes the mean of their gradients. The losses are the same on one process
or on several.

    python examples/sharded_dqn.py --devices 8                  # simulated on this machine
    python examples/sharded_dqn.py --devices 8 --processes 2    # four devices on each

If a process dies the others stop, and `--checkpoint DIR --resume` goes on from the last save.
"""

import argparse
import sys
from functools import partial
from typing import Any, NamedTuple

import agent
import dqn
import environments
import jax
import jax.numpy as jnp
import numpy as np
import processes
import saving
from jax import Array
from jax.sharding import Mesh
from tqdm import tqdm

from jaxper import sharding

AXIS = "data"


class Local(NamedTuple):
    """The part of a run that each device has for itself."""

    key: Array
    replay_state: Any
    envs: environments.Envs


def split(run: dqn.Run) -> tuple[agent.Learner, Local]:
    """Splits a run into the part that is the same on all devices, and the part of each device."""
    return run.learner, Local(run.key, run.replay_state, run.envs)


def join(learner: agent.Learner, local: Local) -> dqn.Run:
    """Joins the two parts of a run."""
    return dqn.Run(local.key, learner, local.replay_state, local.envs)


def start(experiment: dqn.Experiment, seed: int, mesh: Mesh) -> dqn.Run:
    """Returns a run, each part of which is built on its own device."""
    key = jax.random.key(seed)

    def start_local(index: Array) -> Local:
        return split(dqn.start(experiment, jax.random.fold_in(key, index)))[1]

    learner = jax.jit(lambda: dqn.start(experiment, key).learner)()
    local = sharding.per_device(start_local, mesh, axis_name=AXIS)
    return join(sharding.replicated(learner, mesh), local)


def advance(
    experiment: dqn.Experiment, length: int, learner: agent.Learner, local: Local
) -> tuple[agent.Learner, Local, Array]:
    """Advances one device by `length` training steps.

    Returns:
      The two parts of the run, and the means of loss, returns and episodes over all steps and
      devices, float32 [3].
    """
    steps = partial(dqn.train_step, experiment)
    run, step_metrics = jax.lax.scan(steps, join(learner, local), None, length)
    metrics = jnp.stack(
        [step_metrics.loss.mean(), step_metrics.returns.mean(), step_metrics.episodes.mean()]
    )
    return *split(run), agent.average_over_shards(metrics, AXIS)


def train(arguments: argparse.Namespace, mesh: Mesh) -> np.ndarray:
    """Trains on all devices.

    Returns:
      The mean loss of each part, and the mean return of the episodes that ended in it, [POINTS, 2].
    """
    experiment = dqn.set_up(arguments, arguments.replay)._replace(axis_name=AXIS)
    length = dqn.env_steps_per_point(arguments.steps)
    step = sharding.data_parallel(partial(advance, experiment, length), mesh, axis_name=AXIS)
    run, history, done = start(experiment, arguments.seed, mesh), np.zeros((dqn.POINTS, 2)), 0
    saver = None
    if arguments.checkpoint:
        item = dqn.make_example_step(experiment)
        saver = saving.Saver(arguments, arguments.replay, experiment.replay, item, mesh)
        run, (history, done) = saver.restore(run, (history, done))
        history, done = np.array(history), int(done)
    with tqdm(total=dqn.POINTS, initial=done, unit="part", disable=jax.process_index() > 0) as bar:
        for part in range(done, dqn.POINTS):
            learner, local, metrics = step(*split(run))
            run = join(learner, local)
            loss, returns, episodes = np.asarray(metrics)
            history[part] = loss, returns / episodes if episodes else np.nan
            bar.set_description(f"loss {loss:.4f}", refresh=False)
            bar.update()
            if saver:
                saver.save(part + 1, part + 1 == dqn.POINTS, run, (history, part + 1))
    return history


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of `dqn.py` with other defaults, and the options for processes."""
    parser = dqn.make_parser()
    parser.description = "Double DQN on gymnax, data-parallel over devices and processes."
    parser.set_defaults(replay="prioritized", env="catch", steps=20_000, capacity=8_192)
    add = parser.add_argument
    add("--devices", type=int, default=8, help="simulated devices of all processes together")
    add("--processes", type=int, default=1, help="processes to start on this machine")
    # The number of this process, and the address of process 0.
    add("--process", type=int, help=argparse.SUPPRESS)
    add("--address", help=argparse.SUPPRESS)
    return parser


def main() -> None:
    parser = make_parser()
    arguments = saving.parse_arguments(parser)
    devices_each, remainder = divmod(arguments.devices, arguments.processes)
    if remainder or not devices_each:
        parser.error(f"{arguments.devices} devices cannot be {arguments.processes} equal parts")
    if arguments.replay == "both":
        parser.error("write --replay uniform or --replay prioritized")
    if arguments.processes > 1 and arguments.process is None:
        sys.exit(processes.start(arguments.processes))
    processes.join(arguments.address, arguments.processes, arguments.process or 0, devices_each)
    history = train(arguments, jax.make_mesh((arguments.devices,), (AXIS,)))
    if jax.process_index() == 0:
        print("     loss   return")
        print("\n".join(f"{loss:9.6f} {returns:8.3f}" for loss, returns in history))


if __name__ == "__main__":
    main()
