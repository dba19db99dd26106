"""The table and the picture of what was learned with either replay."""

from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from scipy import stats

matplotlib.use("Agg")
import matplotlib.pyplot as plt

RESAMPLES = 10_000


class Result(NamedTuple):
    """What came of one game and replay."""

    curves: Any  # [points, seeds], mean return of the episodes that ended in each part
    rate: float  # the step size that was best in tuning
    tuned: dict[str, float]  # step size that was tried: interquartile mean of its scores
    speed: float  # environment steps a second


def score(curves: Any) -> np.ndarray:
    """Mean return over all of training, [...], of curves [points, ...]."""
    return np.nanmean(np.asarray(curves), axis=0)


def iqm(values: Any, axis: int = -1) -> np.ndarray:
    """Interquartile mean: the mean of what is left without the lowest and the highest quarter."""
    return stats.trim_mean(values, 0.25, axis=axis)


def interval(*samples: np.ndarray) -> tuple[float, float]:
    """95% bootstrap interval over seeds of the interquartile mean; of two samples, of its gain.

    The gain is that of the second over the first, whose seeds are drawn independently.
    """
    statistic: Any = iqm if len(samples) == 1 else gain
    if all(np.ptp(sample) == 0 for sample in samples):  # nothing to draw from
        value = float(statistic(*samples))
        return value, value
    found: Any = stats.bootstrap(
        samples, statistic, n_resamples=RESAMPLES, method="percentile", rng=0, batch=1000
    )
    return found.confidence_interval.low, found.confidence_interval.high


def gain(first: Any, second: Any, axis: int = -1) -> np.ndarray:
    """How much larger the second sample's interquartile mean is."""
    return iqm(second, axis) - iqm(first, axis)


def verdict(low: float, high: float) -> str:
    """What an interval of the gain says about the score with prioritization."""
    if low > 0:
        return "higher"
    return "lower" if high < 0 else "no clear difference"


def write_report(results: dict[str, dict[str, Result]], steps: int, path: Path) -> None:
    """Prints the table, writes it beside the picture as .md, and draws that."""
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
    """What the table shows."""
    return [
        "# Uniform against prioritized replay",
        "",
        "Written by `python -m benchmarks.learning`. A score is a seed's mean return over its",
        f"whole training, {steps:,} environment steps. Shown are interquartile means over seeds",
        "and their 95% bootstrap intervals.",
        "",
    ]


def format_table(results: dict[str, dict[str, Result]]) -> list[str]:
    """A row per game and replay, and below each game what prioritization gains."""
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
    """A line per game and replay: what each step size scored on the seeds for tuning."""
    lines = []
    for game, found in results.items():
        for replay, learned in found.items():
            tried = ", ".join(f"{rate}: {value:.3f}" for rate, value in learned.tuned.items())
            lines.append(f"- {game}, {replay}: {tried}")
    return lines


def plot(results: dict[str, dict[str, Result]], steps: int, path: Path) -> None:
    """A panel per game: interquartile mean over seeds, and its 95% bootstrap interval."""
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
    """One curve [points, seeds]; a seed counts where episodes of it ended, at least 2 seeds do."""
    at = np.linspace(0, steps, len(curves) + 1)[1:]
    ended = [point[~np.isnan(point)] for point in curves]
    kept = [i for i, values in enumerate(ended) if len(values) > 1]
    (line,) = axes.plot(at[kept], [iqm(ended[i]) for i in kept], label=label)
    low, high = np.transpose([interval(ended[i]) for i in kept])
    axes.fill_between(at[kept], low, high, color=line.get_color(), alpha=0.2, linewidth=0)
