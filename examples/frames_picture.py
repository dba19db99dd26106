"""Drawn transitions as a picture: a person sees whether frames follow each other."""

from pathlib import Path

import matplotlib
import numpy as np

import jaxper

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes


def choose(drawn: jaxper.Transition) -> np.ndarray:
    """Indices of draws worth a look: where episodes begin, where they end, and between."""
    frames = drawn.observation["frame"]
    _, distinct = np.unique(frames[:, -1], return_index=True)
    begins = np.flatnonzero(frames[:, 0] == frames[:, -2])
    ends = np.flatnonzero(drawn.discount == 0)
    rewarded = np.flatnonzero((drawn.reward > 0) & (drawn.discount > 0))
    others = np.setdiff1d(distinct, np.concatenate([begins, ends, rewarded]))
    kinds = [np.intersect1d(kind, distinct) for kind in (begins, ends, rewarded, others)]
    return np.concatenate([kind[:: max(1, len(kind) // 2)][:2] for kind in kinds])


def draw(drawn: jaxper.Transition, path: Path) -> None:
    """A row per draw: its stack, oldest first, then the stack of the next observation."""
    chosen = choose(drawn)
    count = drawn.observation["frame"].shape[1]
    size = (1.25 * (2 * count + 1), 1.5 * len(chosen) + 0.4)
    figure, cells = plt.subplots(len(chosen), 2 * count + 1, figsize=size, layout="constrained")
    for row, index in zip(cells, chosen, strict=True):
        show(drawn.observation, index, row[:count])
        describe(drawn, index, row[count])
        show(drawn.next_observation, index, row[count + 1 :])
    figure.suptitle("observation, what was drawn, next observation; numbers: frame of the episode")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def show(observation: dict[str, np.ndarray], index: int, cells: np.ndarray) -> None:
    """One stack, each frame under its number."""
    numbers = observation["frame"][index]
    for k, cell in enumerate(cells):
        cell.imshow(observation["pixels"][index, :, :, k], cmap="gray", vmin=0, vmax=255)
        cell.set_title(str(numbers[k]), fontsize=9)
        cell.set(xticks=[], yticks=[])


def describe(drawn: jaxper.Transition, index: int, cell: Axes) -> None:
    """Action, reward and discount, between the two stacks."""
    discount = drawn.discount[index]
    after = "terminated:\nnext is not used" if discount == 0 else f"discount {discount:.3f}"
    text = f"action {drawn.action[index]}\nreward {drawn.reward[index]:.2f}\n{after}"
    cell.text(0.5, 0.5, text, ha="center", va="center", fontsize=9, transform=cell.transAxes)
    cell.axis("off")
