"""The pictures that the benchmarks draw."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from benchmarks.harness.work import OPERATIONS, Cell

# The colours of Okabe and Ito, which everyone can tell apart. Black is jaxper.
COLOURS = ("#000000", "#0072B2", "#56B4E9", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
MARKERS = "os^DvPX"


def plot_peers(cells: list[Cell], path: Path) -> None:
    """Plots time against capacity and against batch size.

    Each operation has a panel, and each contender a line.
    """
    capacities = sorted({cell.capacity for cell in cells})
    batches = sorted({cell.batch_size for cell in cells})
    capacity = min(capacities, key=lambda size: abs(np.log2(size) - 20))
    batch = min(batches, key=lambda size: abs(np.log2(size) - 8))
    names = list(dict.fromkeys(name for cell in cells for name in cell.times))
    figure, axes = plt.subplots(2, len(OPERATIONS), figsize=(16, 8), sharey="row", squeeze=False)
    for column, operation in enumerate(OPERATIONS):
        chosen = [cell for cell in cells if cell.operation == operation]
        _plot_lines(
            axes[0][column], [c for c in chosen if c.batch_size == batch], "capacity", names
        )
        _plot_lines(
            axes[1][column], [c for c in chosen if c.capacity == capacity], "batch_size", names
        )
        axes[0][column].set_title(operation, fontsize=14, weight="bold")
        axes[0][column].set_xlabel(f"capacity, at batch {batch:,}")
        axes[1][column].set_xlabel(f"batch, at capacity {capacity:,}")
    for row in axes:
        row[0].set_ylabel("microseconds", fontsize=12)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=len(names), fontsize=11, frameon=False)
    figure.tight_layout(rect=(0, 0.05, 1, 1))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _plot_lines(axis: Any, cells: list[Cell], by: str, names: list[str]) -> None:
    """Plots the medians of each contender against the field `by` of the cells."""
    for name, colour, marker in zip(names, COLOURS, MARKERS, strict=False):
        timed = [cell for cell in cells if name in cell.times]
        own = name == names[0]
        axis.plot(
            [getattr(cell, by) for cell in timed],
            [np.median(cell.times[name]) for cell in timed],
            label=name,
            color=colour,
            marker=marker,
            markersize=7 if own else 5,
            linewidth=3.2 if own else 1.4,
            zorder=3 if own else 2,
        )
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(FixedLocator([getattr(cell, by) for cell in cells]))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{int(size):,}"))
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=20))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda time, _: f"{time:,g}"))
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
