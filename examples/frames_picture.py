"""A picture of drawn transitions, in which a person can see if frames follow each other."""

from pathlib import Path

import matplotlib
import numpy as np

import jaxper

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes


def choose_rows(transitions: jaxper.Transition) -> np.ndarray:
    """Returns the indices of rows to show: beginnings of episodes, ends, rewards and others."""
    frames = transitions.observation["frame"]
    _, distinct = np.unique(frames[:, -1], return_index=True)
    begins = np.flatnonzero(frames[:, 0] == frames[:, -2])
    ends = np.flatnonzero(transitions.discount == 0)
    rewarded = np.flatnonzero((transitions.reward > 0) & (transitions.discount > 0))
    others = np.setdiff1d(distinct, np.concatenate([begins, ends, rewarded]))
    kinds = [np.intersect1d(kind, distinct) for kind in (begins, ends, rewarded, others)]
    return np.concatenate([kind[:: max(1, len(kind) // 2)][:2] for kind in kinds])


def plot_transitions(transitions: jaxper.Transition, path: Path) -> None:
    """Plots each transition in a row: its stack, oldest frame first, and that of the next one."""
    chosen = choose_rows(transitions)
    count = transitions.observation["frame"].shape[1]
    size = (1.25 * (2 * count + 1), 1.5 * len(chosen) + 0.4)
    figure, cells = plt.subplots(len(chosen), 2 * count + 1, figsize=size, layout="constrained")
    for row, index in zip(cells, chosen, strict=True):
        show_stack(transitions.observation, index, row[:count])
        describe_row(transitions, index, row[count])
        show_stack(transitions.next_observation, index, row[count + 1 :])
    figure.suptitle("observation, what was drawn, next observation; numbers: frame of the episode")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def show_stack(observation: dict[str, np.ndarray], index: int, cells: np.ndarray) -> None:
    """Shows one stack, with the number of each frame above it."""
    numbers = observation["frame"][index]
    for k, cell in enumerate(cells):
        cell.imshow(observation["pixels"][index, :, :, k], cmap="gray", vmin=0, vmax=255)
        cell.set_title(str(numbers[k]), fontsize=9)
        cell.set(xticks=[], yticks=[])


def describe_row(transitions: jaxper.Transition, index: int, cell: Axes) -> None:
    """Writes the action, the reward and the discount between the two stacks."""
    discount = transitions.discount[index]
    after = "terminated:\nnext is not used" if discount == 0 else f"discount {discount:.3f}"
    text = f"action {transitions.action[index]}\nreward {transitions.reward[index]:.2f}\n{after}"
    cell.text(0.5, 0.5, text, ha="center", va="center", fontsize=9, transform=cell.transAxes)
    cell.axis("off")
