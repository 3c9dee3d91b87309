"""Shows how far a stage is."""

import math
import time
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as RichProgress,
)

from phi4train.data.batches.loader import StepBatch
from phi4train.plain_text import say
from phi4train.training.module import StageModule, StepResult


class ProgressBar(L.Callback):
    """A rich progress bar on a terminal, a line now and then elsewhere; both with elapsed time and ETA.

    Losses are means: in a line over the steps since the last one, in the bar over as many steps.

    Args:
        console: where to draw.
        start_step: index of the first step.
        max_steps: steps of the stage.
        every_n_steps: distance of the lines when the console is no terminal.
    """

    def __init__(self, console: Console, start_step: int, max_steps: int, every_n_steps: int) -> None:
        self._console = console
        self._start_step = start_step
        self._max_steps = max_steps
        self._every_n_steps = every_n_steps
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=max_steps, completed=start_step, numbers="")
        self._recent: deque[StepResult] = deque(maxlen=every_n_steps)
        self._tokens = 0
        self._started = self._since = time.perf_counter()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws the bar."""
        self._bar.start()
        self._started = self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: StepBatch, batch_idx: int
    ) -> None:
        """Moves the bar."""
        assert isinstance(pl_module, StageModule) and pl_module.result is not None
        result = pl_module.result
        self._recent.append(result)
        self._tokens += sum(micro_batch.input_ids_T.numel() for micro_batch in batch.micro_batches)
        numbers = mean_numbers(self._recent)
        steps_done = result.step + 1
        self._bar.update(self._task, completed=steps_done, numbers=numbers)
        if self._console.is_terminal:
            return
        if steps_done % self._every_n_steps == 0 or steps_done == self._max_steps:
            now = time.perf_counter()
            rate = self._tokens / (now - self._since)
            left = (now - self._started) / (steps_done - self._start_step) * (self._max_steps - steps_done)
            say(
                self._console,
                f"step {steps_done}/{self._max_steps}  {numbers}  {rate:,.0f} tokens/s  "
                f"{duration(now - self._started)} elapsed, {duration(left)} left",
            )
            self._tokens, self._since = 0, now
            self._recent.clear()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leaves the terminal as it was."""
        self._bar.stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leaves the terminal as it was; Lightning calls no teardown then."""
        self._bar.stop()


def mean_numbers(steps: Iterable[StepResult]) -> str:
    """Mean loss of some steps, each auxiliary one, the rate of the last, and how many steps were skipped.

    The loss is a mean over targets, as a step's own is; an auxiliary one over the steps that have it.
    """
    every = list(steps)
    sums = [(step.loss * step.num_targets, step.num_targets) for step in every if math.isfinite(step.loss)]
    num_targets = sum(count for _, count in sums)
    loss = math.fsum(total for total, _ in sums) / num_targets if num_targets else math.nan
    auxiliary: dict[str, list[float]] = {}
    for step in every:
        for name, value in step.auxiliary_losses.items():
            auxiliary.setdefault(name, []).append(value)
    others = "".join(f"  {name} {sum(found) / len(found):.3f}" for name, found in auxiliary.items())
    num_skipped = sum(step.is_skipped for step in every)
    skipped = f"  {num_skipped} of {len(every)} steps skipped" if num_skipped else ""
    return f"loss {loss:.3f}{others}  lr {every[-1].lr:.2e}{skipped}"


def duration(seconds: float) -> str:
    """Whole seconds as `1:02:03`."""
    return str(timedelta(seconds=round(seconds)))
