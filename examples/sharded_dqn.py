"""The double DQN of `dqn.py`, data-parallel: a replay and environments per device, one learner.

Every device plays its own environments into its own replay and draws its part of the batch;
gradients are averaged. The losses are the same on one process or on several.

    python examples/sharded_dqn.py --devices 8                  # simulated on this machine
    python examples/sharded_dqn.py --devices 8 --processes 2    # four devices on each
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
from jax import Array
from jax.sharding import Mesh
from tqdm import tqdm

from jaxper import sharding

POINTS = 20  # at which loss and return are told
AXIS = "data"


class Local(NamedTuple):
    """What each device has of its own."""

    key: Array
    replay: Any
    playing: environments.Playing


def begin(experiment: dqn.Experiment, seed: int, mesh: Mesh) -> tuple[agent.Learner, Local]:
    """The learner, alike on all devices, and what each has of its own, built where it lies."""
    key = jax.random.key(seed)

    def own(index: Array) -> Local:
        run = dqn.start(experiment, jax.random.fold_in(key, index))
        return Local(run.key, run.replay, run.playing)

    learner = jax.jit(lambda: dqn.start(experiment, key).learner)()
    return sharding.replicated(learner, mesh), sharding.per_device(own, mesh, axis_name=AXIS)


def advance(
    experiment: dqn.Experiment, length: int, learner: agent.Learner, local: Local
) -> tuple[agent.Learner, Local, dqn.Outputs]:
    """`length` training steps of one device, with what they told on the mean of all devices."""
    run = dqn.Run(local.key, learner, local.replay, local.playing)
    run, outputs = jax.lax.scan(partial(dqn.train_step, experiment), run, None, length)
    outputs = agent.mean_of_shards(jax.tree.map(jnp.mean, outputs), AXIS)
    return run.learner, Local(run.key, run.replay, run.playing), outputs


def train(arguments: argparse.Namespace, mesh: Mesh) -> list[tuple[float, float]]:
    """Mean loss and mean return of the episodes that ended, over each part of the run."""
    experiment = dqn.set_up(arguments, arguments.replay)._replace(axis_name=AXIS)
    length = max(1, arguments.steps // dqn.NUM_ENVS // POINTS)
    step = partial(advance, experiment, length)
    step = sharding.data_parallel(step, mesh, axis_name=AXIS)
    learner, local = begin(experiment, arguments.seed, mesh)
    history = []
    with tqdm(total=POINTS, unit="part", disable=jax.process_index() > 0) as bar:
        for _ in range(POINTS):
            learner, local, outputs = step(learner, local)
            returns, episodes, loss = (float(np.asarray(leaf)) for leaf in outputs)
            history.append((loss, returns / episodes if episodes else np.nan))
            bar.set_description(f"loss {loss:.4f}", refresh=False)
            bar.update()
    return history


def make_parser() -> argparse.ArgumentParser:
    parser = dqn.make_parser()
    parser.description = "Double DQN on gymnax, data-parallel over devices and processes."
    parser.set_defaults(replay="prioritized", env="catch", steps=20_000, capacity=8_192)
    add = parser.add_argument
    add("--devices", type=int, default=8, help="simulated devices, those of all processes together")
    add("--processes", type=int, default=1, help="processes to start on this machine")
    add("--process", type=int, help=argparse.SUPPRESS)  # which of them this is
    add("--address", help=argparse.SUPPRESS)  # of process 0
    return parser


def main() -> None:
    parser = make_parser()
    arguments = parser.parse_args()
    each, rest = divmod(arguments.devices, arguments.processes)
    if rest or not each:
        parser.error(f"{arguments.devices} devices cannot be {arguments.processes} equal parts")
    if arguments.replay == "both":
        parser.error("write --replay uniform or --replay prioritized")
    if arguments.processes > 1 and arguments.process is None:
        sys.exit(processes.start(arguments.processes))
    processes.join(arguments.address, arguments.processes, arguments.process or 0, each)
    history = train(arguments, jax.make_mesh((arguments.devices,), (AXIS,)))
    if jax.process_index() == 0:
        print("     loss   return")
        for loss, returns in history:
            print(f"{loss:9.6f} {returns:8.3f}")


if __name__ == "__main__":
    main()
