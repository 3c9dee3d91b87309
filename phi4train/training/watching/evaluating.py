"""Evaluates every n steps."""

from collections.abc import Callable
from typing import Any

import lightning as L

from phi4train.data.batches.loader import StepBatch


class PeriodicEvaluation(L.Callback):
    """Calls `evaluate(step)` every n steps.

    Args:
        evaluate: measures on held-out data and reports.
        every_n_steps: 0: never.
        max_steps: at the last step nothing is measured: the stage does it in full afterwards.
    """

    def __init__(self, evaluate: Callable[[int], object], every_n_steps: int, max_steps: int) -> None:
        self._evaluate = evaluate
        self._every_n_steps = every_n_steps
        self._max_steps = max_steps

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: StepBatch, batch_idx: int
    ) -> None:
        """Evaluates when it is due."""
        steps_done = batch.step + 1
        if self._every_n_steps and steps_done % self._every_n_steps == 0 and steps_done < self._max_steps:
            self._evaluate(steps_done)
