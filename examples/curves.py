"""The table of returns and the picture of learning curves that examples show at the end."""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt


def final_returns(curves: np.ndarray) -> np.ndarray:
    """The mean return of each seed over the last tenth of its curve [points, seeds]."""
    return np.nanmean(curves[-max(1, len(curves) // 10) :], axis=0)


def print_table(results: dict[str, np.ndarray], random_return: float) -> None:
    """Prints one line per replay, with the mean return over seeds and its interquartile range."""
    print(f"\n{'replay':<12} {'mean return':>11} {'interquartile range':>20} {'seeds':>6}")
    for name, curves in results.items():
        returns = final_returns(curves)
        low, high = np.percentile(returns, [25, 75])
        between = f"{low:.2f} to {high:.2f}"
        print(f"{name:<12} {returns.mean():>11.2f} {between:>20} {len(returns):>6}")
    print(f"{'random play':<12} {random_return:>11.2f}")


def plot(
    results: dict[str, np.ndarray], steps: int, random_return: float, title: str, path: Path
) -> None:
    """Plots the mean over seeds as a line, and the interquartile range as a band."""
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, curves in results.items():
        at = np.linspace(0, steps, len(curves) + 1)[1:]
        (line,) = axes.plot(at, np.nanmean(curves, axis=1), label=name)
        low, high = np.nanpercentile(curves, [25, 75], axis=1)
        axes.fill_between(at, low, high, color=line.get_color(), alpha=0.2, linewidth=0)
    axes.axhline(random_return, color="gray", linestyle="--", label="random play")
    axes.set(title=title, xlabel="environment steps per seed", ylabel="return of finished episodes")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
    axes.set_xlim(0, steps)
    axes.set_ylim(bottom=min(0, axes.get_ylim()[0]))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    figure.savefig(path, dpi=120)
    plt.close(figure)
