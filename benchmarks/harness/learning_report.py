"""The table and the picture of the results with both replays."""

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from scipy import stats

matplotlib.use("Agg")
import matplotlib.pyplot as plt

RESAMPLES = 10_000


class Result(NamedTuple):
    """The result of one game and replay."""

    curves: Any  # [points, seeds], mean return of the episodes that ended in each part
    rate: float  # the step size that was best in tuning
    tuned: dict[str, float]  # interquartile mean of the scores, by step size
    speed: float  # environment steps a second


def score(curves: Any) -> np.ndarray:
    """The mean return over all of training, [...], for curves [points, ...]."""
    return np.nanmean(np.asarray(curves), axis=0)


def iqm(values: Any, axis: int = -1) -> np.ndarray:
    """The interquartile mean: the mean without the lowest and the highest quarter of the values."""
    return stats.trim_mean(values, 0.25, axis=axis)


def interval(*samples: np.ndarray) -> tuple[float, float]:
    """The 95% bootstrap interval over seeds of the interquartile mean, or of the gain.

    For one sample it is the interval of its interquartile mean. For two samples it is the interval
    of the gain of the second one over the first one, and their seeds are drawn independently.
    """
    statistic: Any = iqm if len(samples) == 1 else gain
    # The bootstrap has no interval if all values are the same.
    if all(np.ptp(sample) == 0 for sample in samples):
        value = float(statistic(*samples))
        return value, value
    found: Any = stats.bootstrap(
        samples, statistic, n_resamples=RESAMPLES, method="percentile", rng=0, batch=1000
    )
    return found.confidence_interval.low, found.confidence_interval.high


def gain(first: Any, second: Any, axis: int = -1) -> np.ndarray:
    """The interquartile mean of the second sample, minus that of the first."""
    return iqm(second, axis) - iqm(first, axis)


def verdict(low: float, high: float) -> str:
    """Returns in words whether an interval of the gain is above 0, below 0, or around it."""
    if low > 0:
        return "higher"
    return "lower" if high < 0 else "no clear difference"


def write_report(results: dict[str, dict[str, Result]], steps: int, path: Path) -> None:
    """Prints the table, writes it beside the picture as .md, and draws the picture."""
    lines = [
        *format_heading(steps),
        *format_table(results),
        "",
        "Tuning, the same score:",
        *format_tuning(results),
    ]
    path.with_suffix(".md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    plot(results, steps, path)
    print(f"{path} and {path.with_suffix('.md')} written")


def format_heading(steps: int) -> list[str]:
    """Returns the lines above the table."""
    return [
        "# Uniform against prioritized replay",
        "",
        "Written by `python -m benchmarks.learning`. A score is a seed's mean return over its",
        f"whole training, {steps:,} environment steps. Shown are interquartile means over seeds",
        "and their 95% bootstrap intervals.",
        "",
    ]


def format_table(results: dict[str, dict[str, Result]]) -> list[str]:
    """Returns a row per game and replay, and after each game a row with the gain."""
    lines = ["| game | replay | step size | seeds | mean return in training | steps a second |"]
    lines.append("| --- | --- | ---: | ---: | ---: | ---: |")
    for game, found in results.items():
        scores = [score(learned.curves) for learned in found.values()]
        for (replay, learned), values in zip(found.items(), scores, strict=True):
            low, high = interval(values)
            middle = f"{iqm(values):.3f} ({low:.3f} to {high:.3f})"
            cells = [game, replay, f"{learned.rate:g}", str(len(values)), middle]
            lines.append(f"| {' | '.join(cells)} | {learned.speed:,.0f} |")
        low, high = interval(*scores)
        uniform, prioritized = scores
        middle = (
            f"{gain(uniform, prioritized):+.3f} ({low:+.3f} to {high:+.3f}): {verdict(low, high)}"
        )
        lines.append(f"| {game} | gain | | | {middle} | |")
    return lines


def format_tuning(results: dict[str, dict[str, Result]]) -> list[str]:
    """Returns a line per game and replay, with the score of each step size in tuning."""
    lines = []
    for game, found in results.items():
        for replay, learned in found.items():
            tried = ", ".join(f"{rate}: {value:.3f}" for rate, value in learned.tuned.items())
            lines.append(f"- {game}, {replay}: {tried}")
    return lines


def plot(results: dict[str, dict[str, Result]], steps: int, path: Path) -> None:
    """Plots the interquartile mean over seeds and its 95% interval, with a panel per game."""
    shape = {"figsize": (4.2 * len(results), 3.6), "squeeze": False, "layout": "constrained"}
    figure, panels = plt.subplots(1, len(results), **shape)
    for axes, (game, found) in zip(panels[0], results.items(), strict=True):
        for replay, learned in found.items():
            plot_band(axes, steps, np.asarray(learned.curves), f"{replay}, {learned.rate:g}")
        axes.set(title=game, xlabel="environment steps per seed", xlim=(0, steps))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="lower right")
    panels[0][0].set_ylabel("return of finished episodes")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def plot_band(axes: Any, steps: int, curves: np.ndarray, label: str) -> None:
    """Plots one curve [points, seeds] and its interval.

    A point takes the seeds with episodes that ended there. It is left out if they are fewer than 2.
    """
    at = np.linspace(0, steps, len(curves) + 1)[1:]
    ended = [point[~np.isnan(point)] for point in curves]
    kept = [i for i, values in enumerate(ended) if len(values) > 1]
    (line,) = axes.plot(at[kept], [iqm(ended[i]) for i in kept], label=label)
    low, high = np.transpose([interval(ended[i]) for i in kept])
    axes.fill_between(at[kept], low, high, color=line.get_color(), alpha=0.2, linewidth=0)
