"""Shows how far a stage is."""

import time
from typing import Any

import lightning as L
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import (
    Progress as RichProgress,
)

from phi4train.data.batches.loader import StepBatch
from phi4train.plain_text import say
from phi4train.training.module import StageModule


class ProgressBar(L.Callback):
    """A rich progress bar with ETA on a terminal, a line now and then elsewhere.

    Args:
        console: where to draw.
        start_step: index of the first step.
        max_steps: steps of the stage.
        every_n_steps: distance of the lines when the console is no terminal.
    """

    def __init__(self, console: Console, start_step: int, max_steps: int, every_n_steps: int) -> None:
        self._console = console
        self._max_steps = max_steps
        self._every_n_steps = every_n_steps
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[numbers]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("training", total=max_steps, completed=start_step, numbers="")
        self._tokens = 0
        self._since = time.perf_counter()

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draws the bar."""
        self._bar.start()
        self._since = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: StepBatch, batch_idx: int
    ) -> None:
        """Moves the bar."""
        assert isinstance(pl_module, StageModule) and pl_module.result is not None
        result = pl_module.result
        self._tokens += batch.facts.num_tokens
        others = "".join(f"  {name} {loss:.3f}" for name, loss in result.auxiliary_losses.items())
        numbers = f"loss {result.loss:.3f}{others}  lr {result.lr:.2e}"
        self._bar.update(self._task, completed=result.step + 1, numbers=numbers)
        is_line_due = (result.step + 1) % self._every_n_steps == 0 or result.step + 1 == self._max_steps
        if not self._console.is_terminal and is_line_due:
            rate = self._tokens / (time.perf_counter() - self._since)
            say(
                self._console,
                f"step {result.step + 1}/{self._max_steps}  {numbers}  {rate:,.0f} tokens/s",
            )
            self._tokens, self._since = 0, time.perf_counter()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leaves the terminal as it was."""
        self._bar.stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leaves the terminal as it was; Lightning calls no teardown then."""
        self._bar.stop()
