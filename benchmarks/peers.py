"""jaxper beside its peers on this CPU: `python -m benchmarks.peers`.

All contenders do the same work in one process, in turn: they add 64 transitions, draw a batch,
update a batch, and do all three as one step, at several capacities and batch sizes. Libraries for
JAX run in a compiled loop and the others are called from Python, as each of them is used. The
command writes its tables after every size, and a plot at the end. A contender that takes too long
is left out, and the tables say so.
"""

import argparse
import importlib
import time
from collections.abc import Iterator
from pathlib import Path

import jax
from tqdm import tqdm

from benchmarks.harness import plots, tables, timing
from benchmarks.harness.work import OPERATIONS, Cell, Contender, Loop, Missing, Work, make_work

MODULES = ("jaxper", "flashbax", "torchrl", "cpprb", "numpy")
ADDED = 64


def find_contenders() -> tuple[list[Contender], list[Missing]]:
    """Returns the contenders that are installed, and those that are not."""
    installed: list[Contender] = []
    missing = []
    for name in MODULES:
        try:
            module = importlib.import_module(f"benchmarks.contenders.{name}")
            installed += module.list_contenders()
        except ImportError as error:
            missing.append(Missing(name, str(error).splitlines()[0][:90]))
    return installed, missing


def measure(arguments: argparse.Namespace, contenders: list[Contender]) -> Iterator[Cell]:
    """Yields all cells. A contender that took too long to set up is not set up again."""
    own = contenders[0].name
    slow: dict[str, str] = {}
    sizes = [(c, b) for c in arguments.capacities for b in arguments.batch_sizes]
    for capacity, batch_size in tqdm(sizes, disable=None):
        work = make_work(capacity, batch_size, ADDED)
        loops_of = {}
        for contender in contenders:
            if contender.name not in slow:
                loops_of[contender.name], taken = _set_up(contender, work)
                if taken > arguments.setup_limit and contender.name != own:
                    slow[contender.name] = f"its setup at {capacity:,} took {taken:.0f} s"
        for operation in OPERATIONS:
            loops = {name: each[operation] for name, each in loops_of.items()}
            reasons = {
                name: timing.check_duration(loop, arguments.limit) for name, loop in loops.items()
            }
            left_out = {name: why for name, why in reasons.items() if why and name != own}
            loops = {name: loop for name, loop in loops.items() if name not in left_out}
            times = timing.time_in_turn(loops, arguments.rounds, arguments.seconds)
            not_set_up = {name: why for name, why in slow.items() if name not in loops_of}
            yield Cell(capacity, batch_size, operation, times, left_out | not_set_up)


def _set_up(contender: Contender, work: Work) -> tuple[dict[str, Loop], float]:
    """Returns the loops of a contender, and the seconds that it took to fill it."""
    start = time.perf_counter()
    return contender.make_loops(work), time.perf_counter() - start


def main() -> None:
    parser = timing.make_parser(__doc__, rounds=7, seconds=0.06)
    add = parser.add_argument
    add("--capacities", type=int, nargs="+", default=[2**14, 2**17, 2**20, 2**23])
    add("--batch-sizes", type=int, nargs="+", default=[32, 256, 4096])
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
