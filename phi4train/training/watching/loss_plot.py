"""Draws the losses of a run from its metrics.jsonl."""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from phi4train.files import write_atomically
from phi4train.run.record import RunRecord
from phi4train.training.watching import metric_keys as keys

SMOOTHING_STEPS = 20


def draw_losses(lines: Iterable[Mapping[str, Any]], target: Path, title: str) -> None:
    """Writes a PNG with the loss per step, its running mean over 20 steps, and the learning rate; atomically.

    Args:
        lines: of metrics.jsonl; those without a loss, or that damage has left without a number, are left out.
        target: the PNG.
        title: above the curves.
    """
    from matplotlib.figure import Figure  # costs a second that a run need not pay before its end

    drawn = (keys.STEP, keys.LOSS, keys.LR)
    records = [line for line in lines if all(isinstance(line.get(key), int | float) for key in drawn)]
    steps = [record[keys.STEP] for record in records]
    losses = [record[keys.LOSS] for record in records]
    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel="optimizer step", ylabel="loss (nats per target token)", title=title)
    axes.plot(steps, losses, color="tab:blue", alpha=0.25, label="loss")
    axes.plot(steps, running_mean(losses, SMOOTHING_STEPS), color="tab:blue", label="mean of 20 steps")
    rates = axes.twinx()
    rates.plot(
        steps, [record[keys.LR] for record in records], color="tab:gray", lw=0.8, label="learning rate"
    )
    rates.set_ylabel("learning rate")
    axes.legend(loc="upper right")
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, format="png")
    write_atomically(target, picture.getvalue())


def draw_missing_losses(run: RunRecord, title: str) -> None:
    """Draws the loss.png of a finished run that was killed before it had one; none without metrics."""
    if run.steps and not run.folder.loss_plot.is_file():
        draw_losses(run.steps, run.folder.loss_plot, title)


def running_mean(values: list[float], width: int) -> list[float]:
    """Mean of each value and up to `width` - 1 before it."""
    return [sum(values[max(0, end - width) : end]) / min(end, width) for end in range(1, len(values) + 1)]
