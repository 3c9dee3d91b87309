"""Evaluates every n steps."""

from collections.abc import Callable
from typing import Any

import lightning as L

from phi4train.data.batches.loader import StepBatch
from phi4train.training.stopping import StopAsked


class PeriodicEvaluation(L.Callback):
    """Calls `evaluate(step)` every n steps; one that a signal cuts short ends the run after this step.

    Args:
        evaluate: measures on held-out data and reports.
        every_n_steps: 0: never.
        max_steps: at the last step nothing is measured: the stage does it in full afterwards.
    """

    def __init__(self, evaluate: Callable[[int], object], every_n_steps: int, max_steps: int) -> None:
        self._evaluate = evaluate
        self._every_n_steps = every_n_steps
        self._max_steps = max_steps

    def is_due(self, steps_done: int) -> bool:
        """Whether held-out data are measured after so many steps."""
        is_between = 0 < steps_done < self._max_steps
        return is_between and self._every_n_steps > 0 and steps_done % self._every_n_steps == 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: StepBatch, batch_idx: int
    ) -> None:
        """Evaluates when it is due, but not when the run is about to end: whoever goes on with it does."""
        if self.is_due(batch.step + 1) and not trainer.should_stop:
            try:
                self._evaluate(batch.step + 1)
            except StopAsked:
                trainer.should_stop = True
