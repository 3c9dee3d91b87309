"""Draws the losses of a run from what its folder holds."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from phi4train.errors import CheckpointError
from phi4train.evaluation.metrics.perplexity import LOSS as EVAL_LOSS
from phi4train.files import write_atomically
from phi4train.run.record import RunRecord
from phi4train.training.watching import metric_keys as keys

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FEWEST_SMOOTHED = 20
_SMOOTHED_PARTS = 50
"""The mean runs over a 50th of the steps, but at least 20."""
_MOST_POINTS = 400
"""Of more steps, the range within each of so many parts is drawn instead of every loss."""


def draw_losses(run: RunRecord, title: str) -> None:
    """Writes loss.png, atomically: loss of the steps, its running mean, held-out losses, learning rate.

    Args:
        run: lines without a loss, or that damage has left without a number, are left out.
        title: above the curves.
    """
    from matplotlib.figure import Figure  # costs a second that a run need not pay before its end

    steps, losses, rates = _columns(run.steps, keys.STEP, keys.LOSS, keys.LR)
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="optimizer step", ylabel="loss (nats per target token)", title=title)
    _draw_steps(axes, steps, losses)
    _draw_held_out(axes, run, steps)
    right = axes.twinx()
    right.plot(steps, rates, color="tab:gray", lw=0.8, label="learning rate")
    right.set_ylabel("learning rate")
    right.set_ylim(bottom=0)
    lines = [*axes.get_legend_handles_labels()[0], *right.get_legend_handles_labels()[0]]
    axes.legend(lines, [str(line.get_label()) for line in lines], loc="upper right")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    write_atomically(run.folder.loss_plot, picture.getvalue())


def draw_missing_losses(run: RunRecord, title: str) -> None:
    """Draws the loss.png of a finished run that was killed before it had one; none without metrics."""
    if run.steps and not run.folder.loss_plot.is_file():
        draw_losses(run, title)


def smoothing_width(num_steps: int) -> int:
    """Steps of the running mean that is drawn."""
    return max(_FEWEST_SMOOTHED, num_steps // _SMOOTHED_PARTS)


def running_mean(values: Sequence[float] | NDArray[np.float64], width: int) -> NDArray[np.float64]:
    """Mean of each value and up to `width` - 1 before it."""
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(0, ends - width)
    means: NDArray[np.float64] = (sums[ends] - sums[starts]) / (ends - starts)
    return means


def ranges(values: NDArray[np.float64], num_parts: int) -> tuple[NDArray[np.float64], ...]:
    """First place, 5th and 95th percentile of each of `num_parts` parts of some values."""
    parts = np.array_split(np.arange(len(values)), num_parts)
    low, high = np.array([np.percentile(values[part], (5, 95)) for part in parts]).T
    return np.array([part[0] for part in parts]), low, high


def _draw_steps(axes: "Axes", steps: NDArray[np.float64], losses: NDArray[np.float64]) -> None:
    width = smoothing_width(len(steps))
    if len(steps) > _MOST_POINTS:
        places, low, high = ranges(losses, _MOST_POINTS)
        label = "loss, 90 % of the steps"
        axes.fill_between(steps[places], low, high, color="tab:blue", alpha=0.2, lw=0, label=label)
    else:
        axes.plot(steps, losses, color="tab:blue", alpha=0.25, label="loss")
    axes.plot(steps, running_mean(losses, width), color="tab:blue", label=f"mean of {width} steps")


def _draw_held_out(axes: "Axes", run: RunRecord, steps: NDArray[np.float64]) -> None:
    """Those taken while it trained, perhaps on a part of the held-out data, and the one at its end."""
    places, losses = _columns(run.evaluations, keys.STEP, EVAL_LOSS)
    if len(places):
        axes.plot(places, losses, "o-", color="tab:orange", ms=3.5, lw=1, label="held-out loss")
    try:
        results = (run.evaluation or {}).get("metrics", {})
    except CheckpointError:  # damaged since; it is told where it is read
        results = {}
    _, final = _columns([{**results, keys.STEP: 0}], keys.STEP, EVAL_LOSS)
    if len(final) and len(steps):
        label = "held-out loss at the end"
        axes.plot(steps[-1:], final, "D", color="tab:red", ms=5, label=label, clip_on=False)


def _columns(lines: Sequence[Mapping[str, Any]], *names: str) -> list[NDArray[np.float64]]:
    """The numbers of some keys, of the lines that have all of them."""
    whole = [line for line in lines if all(isinstance(line.get(name), int | float) for name in names)]
    return [np.array([line[name] for line in whole], dtype=np.float64) for name in names]
