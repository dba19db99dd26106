"""The pictures that the benchmarks draw."""

from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.work import OPERATIONS


def peers(cells: list[Any], path: Path) -> None:
    """Time against capacity and against batch size, a panel per operation, a line per contender."""
    capacities = sorted({cell.capacity for cell in cells})
    batches = sorted({cell.batch_size for cell in cells})
    capacity = min(capacities, key=lambda size: abs(np.log2(size) - 20))
    batch = min(batches, key=lambda size: abs(np.log2(size) - 8))
    figure, axes = plt.subplots(2, len(OPERATIONS), figsize=(14, 6.4), sharey="row", squeeze=False)
    for column, operation in enumerate(OPERATIONS):
        chosen = [cell for cell in cells if cell.operation == operation]
        _lines(axes[0][column], [c for c in chosen if c.batch_size == batch], "capacity")
        _lines(axes[1][column], [c for c in chosen if c.capacity == capacity], "batch_size")
        axes[0][column].set_title(operation)
        axes[0][column].set_xlabel(f"capacity (batch {batch:,})")
        axes[1][column].set_xlabel(f"batch (capacity {capacity:,})")
    for row in axes:
        row[0].set_ylabel("microseconds")
    figure.legend(*axes[0][0].get_legend_handles_labels(), loc="lower center", ncols=6)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    figure.savefig(path, dpi=110)


def _lines(axis: Any, cells: list[Any], by: str) -> None:
    sizes = [getattr(cell, by) for cell in cells]
    for name in cells[0].times:
        medians = [np.median(cell.times[name]) for cell in cells]
        own = name == "jaxper"
        axis.plot(
            sizes, medians, marker="o", label=name, linewidth=3 if own else 1.3, zorder=2 + own
        )
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.grid(alpha=0.3)
