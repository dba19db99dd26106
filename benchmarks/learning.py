"""Does prioritization pay in control? `python -m benchmarks.learning` (the extra `examples`).

The same double DQN, `examples/dqn.py`, learns each game with uniform and with prioritized replay.
The step size of both is chosen in the same way: each of `RATES` is tried on seeds for tuning, and
the one with the best score is taken. Then fresh seeds learn with it. The score of a run is the mean
return over all of its training, the area under its learning curve. The table and the picture show
interquartile means over seeds.

    python -m benchmarks.learning                                        # DeepSea and Catch
    python -m benchmarks.learning --games minatar --steps 1000000        # on a GPU

The results of each game are kept in `--folder`, so the same command does not learn it again.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from benchmarks.harness import learning_report, training
from benchmarks.harness.learning_report import Result
from benchmarks.harness.training import POINTS, Setting

REPLAYS = ("uniform", "prioritized")
RATES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
GAMES = {"small": ["deep_sea", "catch"], "minatar": ["breakout", "asterix", "space_invaders"]}


class Program(NamedTuple):
    """The compiled functions of one replay."""

    start: Callable  # takes keys and step sizes, and returns the runs
    advance: Callable  # takes the runs, and returns them one point further, and their returns


def learn(
    setting: Setting, programs: dict[str, Program], key: Any, rates: dict[str, Any], seeds: int
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Returns the learning curves [POINTS, rates, seeds] of each replay, and its steps a second.

    The replays take turns from point to point, so other work on the machine slows both alike.
    """
    runs, curves, seconds = {}, {name: [] for name in programs}, {name: [] for name in programs}
    for name, program in programs.items():
        runs[name] = program.start(*training.pair_keys_with_rates(key, rates[name], seeds))
    for _ in tqdm(range(POINTS), desc=f"{setting.env}, {seeds} seeds", unit="point"):
        for name, program in programs.items():
            began = time.perf_counter()
            runs[name], returns = program.advance(runs[name])
            curves[name].append(np.asarray(returns).reshape(len(rates[name]), seeds))
            seconds[name].append(time.perf_counter() - began)
    counts = {name: training.steps_per_point(setting, len(rates[name]) * seeds) for name in runs}
    speeds = {name: counts[name] / float(np.median(seconds[name])) for name in runs}
    return {name: np.stack(curve) for name, curve in curves.items()}, speeds


def compare(setting: Setting, seeds: int, tuning_seeds: int, seed: int) -> dict[str, Result]:
    """Tunes the step sizes of both replays, and learns with the best ones on fresh seeds."""
    programs = {name: Program(*training.make_program(setting, name)) for name in REPLAYS}
    tuning_key, key = jax.random.split(jax.random.key(seed))
    tried, _ = learn(setting, programs, tuning_key, dict.fromkeys(REPLAYS, RATES), tuning_seeds)
    scores = {name: learning_report.iqm(learning_report.score(tried[name])) for name in REPLAYS}
    best = {name: RATES[int(np.argmax(scores[name]))] for name in REPLAYS}
    curves, speeds = learn(setting, programs, key, {name: [best[name]] for name in REPLAYS}, seeds)
    return {
        name: Result(
            curves=curves[name][:, 0].tolist(),
            rate=best[name],
            tuned=dict(zip(map(str, RATES), scores[name].tolist(), strict=True)),
            speed=speeds[name],
        )
        for name in REPLAYS
    }


def load_or_learn(arguments: argparse.Namespace, game: str) -> dict[str, Result]:
    """Returns the results of a game from the folder, after learning it if they are not there."""
    a = arguments
    setting = Setting(game, a.steps, n_step=a.n_step)
    path = a.folder / f"{game}-{a.steps}-{a.n_step}-{a.seeds}-{a.tuning_seeds}-{a.seed}.json"
    if not path.exists():
        results = compare(setting, a.seeds, a.tuning_seeds, a.seed)
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({name: found._asdict() for name, found in results.items()}))
    found = json.loads(path.read_text())
    return {name: Result(**found[name]) for name in REPLAYS}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Uniform against prioritized replay: the same agent, budget and tuning.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--games", nargs="+", default=["small"], help=f"names, or one of {', '.join(GAMES)}")
    add("--steps", type=int, default=100_000, help="environment steps of each run")
    add("--seeds", type=int, default=60, help="runs that are compared, side by side")
    add("--tuning-seeds", type=int, default=12, help="runs of each step size that is tried")
    add("--n-step", type=int, default=1, help="steps whose rewards are added up")
    add("--seed", type=int, default=0, help="random seed that the runs start from")
    add("--folder", type=Path, default=Path("learning"), help="where results are kept")
    add("--output", type=Path, default=Path("learning.png"), help="picture to write")
    return parser.parse_args()


def main() -> None:
    arguments = parse_arguments()
    games = [game for name in arguments.games for game in GAMES.get(name, [name])]
    began = time.perf_counter()
    results = {game: load_or_learn(arguments, game) for game in games}
    learning_report.write_report(results, arguments.steps, arguments.output)
    print(f"{time.perf_counter() - began:.0f} seconds in all")


if __name__ == "__main__":
    main()
