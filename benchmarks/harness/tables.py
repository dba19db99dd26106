"""The tables that `benchmarks.peers` writes: a short one, and one with every size."""

import os
import platform
from pathlib import Path

import jax
import numpy as np

from benchmarks.harness.work import OPERATIONS, Cell, Contender, Missing

# The short table has this size, or the one nearest to it that was measured.
CAPACITY, BATCH = 2**20, 256


def format_document(cells: list[Cell], contenders: list[Contender], missing: list[Missing]) -> str:
    """Returns the Markdown document: the machine, the tables, and what was left out and why."""
    parts = [
        "# jaxper and its peers on a CPU",
        "Written by `python -m benchmarks.peers`; the [plot](peers.png) shows the same.",
        _format_heading(contenders, missing),
        format_short(cells, contenders),
        "## Every size",
        _format_long(cells, contenders),
    ]
    if any(cell.left_out for cell in cells):
        parts += ["## Left out", _format_left_out(cells)]
    return "\n\n".join(parts) + "\n"


def format_short(cells: list[Cell], contenders: list[Contender]) -> str:
    """Returns the table of one size, with the worst ratio over all sizes below."""
    chosen = [cell for cell in cells if _distance(cell) == min(map(_distance, cells))]
    names = [contender.name for contender in contenders]
    title = f"{chosen[0].capacity:,} items, batch {chosen[0].batch_size:,}"
    rows = [
        [cell.operation, *(_format_entry(cell, name, names[0]) for name in names)]
        for cell in chosen
    ]
    for operation in OPERATIONS:
        same = [cell for cell in cells if cell.operation == operation]
        rows.append(
            [f"{operation}, worst", "", *(_format_worst(same, n, names[0]) for n in names[1:])]
        )
    return _format_markdown([title, *names], rows)


def _format_long(cells: list[Cell], contenders: list[Contender]) -> str:
    """Returns the table of all sizes."""
    names = [contender.name for contender in contenders]
    rows = [
        [f"{cell.capacity:,}", f"{cell.batch_size:,}", cell.operation]
        + [_format_entry(cell, name, names[0]) for name in names]
        for cell in cells
    ]
    return _format_markdown(["capacity", "batch", "", *names], rows)


def _format_heading(contenders: list[Contender], missing: list[Missing]) -> str:
    """Returns what the numbers mean, and the machine and the versions that they come from."""
    lines = [
        f"Microseconds, medians: {_read_processor_name()}, {os.cpu_count()} threads, "
        f"Python {platform.python_version()}, jax {jax.__version__}.",
        "In brackets: how many times as long as jaxper, the median of pairs taken in turn; "
        "*worst* is the smallest such ratio of all sizes, and where it was.",
        "Versions: " + ", ".join(f"{each.name} {each.version}" for each in contenders) + ".",
    ]
    return "  \n".join(lines + [f"Missing: {each.name} ({each.reason})." for each in missing])


def _format_left_out(cells: list[Cell]) -> str:
    """Returns a list of what was left out, with the reasons."""
    lines = [
        f"- {name}, {cell.operation} of {cell.batch_size:,} at {cell.capacity:,}: {why}"
        for cell in cells
        for name, why in cell.left_out.items()
    ]
    return "\n".join(lines)


def _format_entry(cell: Cell, name: str, own: str) -> str:
    """Returns the median of a contender, and its ratio to jaxper, whose name is `own`."""
    if name not in cell.times:
        return "left out"
    median = f"{np.median(cell.times[name]):,.1f}"
    return f"**{median}**" if name == own else f"{median} ({_ratio(cell, name, own):.3g}x)"


def _format_worst(cells: list[Cell], name: str, own: str) -> str:
    """Returns the smallest ratio of a contender to jaxper, and the size that it belongs to."""
    timed = [cell for cell in cells if name in cell.times and own in cell.times]
    if not timed:
        return "left out"
    worst = min(timed, key=lambda cell: _ratio(cell, name, own))
    return f"{_ratio(worst, name, own):.3g}x ({worst.capacity:,} / {worst.batch_size:,})"


def _ratio(cell: Cell, name: str, own: str) -> float:
    """How many times as long as jaxper a contender takes, the median of pairs."""
    return float(np.median(cell.times[name] / cell.times[own]))


def _distance(cell: Cell) -> float:
    """The distance of a cell's size from that of the short table, in powers of two."""
    return abs(np.log2(cell.capacity / CAPACITY)) + abs(np.log2(cell.batch_size / BATCH))


def _format_markdown(head: list[str], rows: list[list[str]]) -> str:
    """Returns a Markdown table."""
    lines = [head, ["---" if column == 0 else "---:" for column in range(len(head))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _read_processor_name() -> str:
    """Returns the name of the processor, as far as the system knows it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), "")
