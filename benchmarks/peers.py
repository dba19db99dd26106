"""jaxper beside its peers on this CPU: `python -m benchmarks.peers`.

Every contender does the same work in the same process, in turn: adds of 64 transitions, draws and
updates of a batch, and all three as one step, at several capacities and batch sizes. Libraries for
JAX run in a compiled loop, the others are called from Python, each as it is used. The table holds
medians in microseconds and, behind them, the median over the rounds of how many times as long as
jaxper a contender took; the plot shows the same.
"""

import argparse
import importlib
import os
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from tqdm import tqdm

from benchmarks import plots, timing
from benchmarks.work import OPERATIONS, Contender, Missing, work

MODULES = ("jaxper", "flashbax", "torchrl", "cpprb", "numpy")
ADDED = 64


class Cell(NamedTuple):
    """Times of one operation at one size."""

    capacity: int
    batch_size: int
    operation: str
    times: dict[str, np.ndarray]  # microseconds [rounds] by contender


def found() -> tuple[list[Contender], list[Missing]]:
    """The contenders that are installed, and those that are not."""
    here: list[Contender] = []
    missing = []
    for module in MODULES:
        try:
            here += importlib.import_module(f"benchmarks.with_{module}").contenders()
        except ImportError as error:
            missing.append(Missing(module, str(error).splitlines()[0][:90]))
    return here, missing


def measured(arguments: Any, contenders: list[Contender]) -> Iterator[Cell]:
    """All cells, smallest first."""
    sizes = [(c, b) for c in arguments.capacities for b in arguments.batch_sizes]
    for capacity, batch_size in tqdm(sizes, disable=None):
        job = work(capacity, batch_size, ADDED)
        runs = {contender.name: contender.make(job) for contender in contenders}
        for operation in OPERATIONS:
            times = timing.interleaved(
                {name: made[operation] for name, made in runs.items()},
                arguments.rounds,
                arguments.seconds,
            )
            yield Cell(capacity, batch_size, operation, times)


def table(cells: list[Cell], contenders: list[Contender]) -> str:
    """Markdown: a row per cell, a column per contender."""
    names = [contender.name for contender in contenders]
    lines = [
        "| capacity | batch | | " + " | ".join(names) + " |",
        "| ---: | ---: | --- |" + " ---: |" * len(names),
    ]
    for cell in cells:
        own = cell.times[names[0]]
        entries = [f"**{np.median(own):,.1f}**"] + [
            f"{np.median(cell.times[name]):,.1f} ({np.median(cell.times[name] / own):.3g}x)"
            for name in names[1:]
        ]
        size = f"{cell.capacity:,} | {cell.batch_size:,} | {cell.operation}"
        lines.append(f"| {size} | " + " | ".join(entries) + " |")
    return "\n".join(lines)


def heading(contenders: list[Contender], missing: list[Missing]) -> str:
    """What was measured, where, and what was not."""
    lines = [
        f"Microseconds, medians, on a CPU: {_processor()}, {os.cpu_count()} threads, "
        f"Python {platform.python_version()}, jax {jax.__version__}.",
        "In brackets: how many times as long as jaxper, the median of pairs taken in turn.",
        "Versions: " + ", ".join(f"{each.name} {each.version}" for each in contenders) + ".",
    ]
    lines += [f"Missing: {each.name} ({each.why})." for each in missing]
    return "  \n".join(lines)


def _processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    powers = [2**14, 2**17, 2**20, 2**23]
    parser.add_argument("--capacities", type=int, nargs="+", default=powers)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 256, 4096])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.03, help="per contender and round")
    parser.add_argument("--output", type=Path, default=Path("peers"), help="without suffix")
    arguments = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    contenders, missing = found()
    cells, text = [], ""
    for cell in measured(arguments, contenders):
        cells.append(cell)
        text = f"{heading(contenders, missing)}\n\n{table(cells, contenders)}\n"
        arguments.output.with_suffix(".md").write_text(text)
    plots.peers(cells, arguments.output.with_suffix(".png"))
    print(text)


if __name__ == "__main__":
    main()
