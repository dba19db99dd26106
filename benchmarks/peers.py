"""jaxper beside its peers on this CPU: `python -m benchmarks.peers`.

Every contender does the same work in the same process, in turn: adds of 64 transitions, draws and
updates of a batch, and all three as one step, at several capacities and batch sizes. Libraries for
JAX run in a compiled loop, the others are called from Python, each as it is used. Tables are
written after every size, a plot at the end. What takes too long is left out, and the tables say so.
"""

import argparse
import importlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from tqdm import tqdm

from benchmarks.harness import plots, tables, timing
from benchmarks.harness.work import OPERATIONS, Cell, Contender, Loop, Missing, Work, make_work

MODULES = ("jaxper", "flashbax", "torchrl", "cpprb", "numpy")
ADDED = 64


def find_contenders() -> tuple[list[Contender], list[Missing]]:
    """The contenders that are installed, and those that are not."""
    here: list[Contender] = []
    missing = []
    for module in MODULES:
        try:
            here += importlib.import_module(f"benchmarks.contenders.{module}").contenders()
        except ImportError as error:
            missing.append(Missing(module, str(error).splitlines()[0][:90]))
    return here, missing


def measure(arguments: Any, contenders: list[Contender]) -> Iterator[Cell]:
    """All cells, smallest first. Who takes too long to set up is not set up for a larger one."""
    slow: dict[str, str] = {}
    sizes = [(c, b) for c in arguments.capacities for b in arguments.batch_sizes]
    for capacity, batch_size in tqdm(sizes, disable=None):
        job = make_work(capacity, batch_size, ADDED)
        runs = {}
        for contender in contenders:
            if contender.name not in slow:
                runs[contender.name], taken = _set_up(contender, job)
                if taken > arguments.setup_limit and contender is not contenders[0]:
                    slow[contender.name] = f"its setup at {capacity:,} took {taken:.0f} s"
        for operation in OPERATIONS:
            chosen = {name: loops[operation] for name, loops in runs.items()}
            left_out = {
                name: why
                for name, run in chosen.items()
                if (why := timing.check_duration(run, arguments.limit))
                and name != contenders[0].name
            }
            chosen = {name: run for name, run in chosen.items() if name not in left_out}
            times = timing.time_in_turn(chosen, arguments.rounds, arguments.seconds)
            not_set_up = {name: why for name, why in slow.items() if name not in runs}
            yield Cell(capacity, batch_size, operation, times, left_out | not_set_up)


def _set_up(contender: Contender, work: Work) -> tuple[dict[str, Loop], float]:
    """What it runs, and the seconds that it took to fill it."""
    start = time.perf_counter()
    return contender.make_loops(work), time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    powers = [2**14, 2**17, 2**20, 2**23]
    add = parser.add_argument
    add("--capacities", type=int, nargs="+", default=powers)
    add("--batch-sizes", type=int, nargs="+", default=[32, 256, 4096])
    add("--rounds", type=int, default=7)
    add("--seconds", type=float, default=0.06, help="per contender and round")
    add("--limit", type=float, default=0.5, help="seconds that one run of an operation may take")
    add("--setup-limit", type=float, default=60, help="seconds, before larger ones are left out")
    add("--output", type=Path, default=Path("docs/peers"), help="without suffix")
    arguments = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    contenders, missing = find_contenders()
    cells: list[Cell] = []
    for cell in measure(arguments, contenders):
        cells.append(cell)
        text = tables.format_document(cells, contenders, missing)
        arguments.output.with_suffix(".md").write_text(text)
    plots.plot_peers(cells, arguments.output.with_suffix(".png"))
    print(tables.format_short(cells, contenders))


if __name__ == "__main__":
    main()
