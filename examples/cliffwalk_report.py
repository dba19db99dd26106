"""The table and the picture of the Blind Cliffwalk."""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

FEATURES = ("tabular", "linear")


HEADER = [
    "# Blind Cliffwalk",
    "",
    "Written by `examples/blind_cliffwalk.py`: updates until the error is small, the median, and",
    "in brackets the smallest and the largest of all runs.",
    "",
]


def write_report(sizes: list[int], updates: dict[str, np.ndarray], path: Path) -> None:
    """Prints the table, writes it beside the picture, and draws the picture.

    Args:
      sizes: numbers of states.
      updates: the updates of each selection, [2, sizes, runs], first those with a table, then those
        with linear features.
      path: the path of the picture. That of the table ends in .md instead.
    """
    lines = format_table(sizes, updates)
    path.with_suffix(".md").write_text("\n".join([*HEADER, *lines]) + "\n")
    print("\n".join(lines))
    plot(sizes, updates, path)
    print(f"{path} and {path.with_suffix('.md')} written")


def format_table(sizes: list[int], updates: dict[str, np.ndarray]) -> list[str]:
    """Returns a row for each kind of features and number of states."""
    lines = ["| features | states | transitions | " + " | ".join(updates) + " |"]
    lines.append("| --- | ---: | ---: |" + " ---: |" * len(updates))
    for kind, features in enumerate(FEATURES):
        for row, states in enumerate(sizes):
            cells = [format_cell(found[kind, row]) for found in updates.values()]
            lines.append(
                f"| {features} | {states} | {2 ** (states + 1) - 2:,} | {' | '.join(cells)} |"
            )
    return lines


def format_cell(counts: np.ndarray) -> str:
    """Returns the median, and the smallest and the largest number of updates."""
    return f"{np.median(counts):,.0f} ({counts.min():,.0f} to {counts.max():,.0f})"


def plot(sizes: list[int], updates: dict[str, np.ndarray], path: Path) -> None:
    """Plots the medians, with bars from the smallest to the largest run, as in figure 2."""
    transitions = 2.0 ** (np.array(sizes) + 1) - 2
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    for kind, axes in enumerate(panels):
        for name, found in updates.items():
            median = np.median(found[kind], axis=1)
            reach = [median - found[kind].min(axis=1), found[kind].max(axis=1) - median]
            axes.errorbar(transitions, median, reach, label=name, marker="o", ms=3, capsize=2)
        axes.set(xscale="log", yscale="log", title=FEATURES[kind], xlabel="transitions in memory")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("updates until the error is small")
    panels[0].legend(frameon=False)
    figure.savefig(path, dpi=120)
    plt.close(figure)
