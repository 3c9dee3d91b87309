"""Saves the state every n steps and when a signal asks for a stop."""

from collections.abc import Callable
from typing import Any

import lightning as L

from phi4train.data.batches.loader import StepBatch
from phi4train.training.stopping import StopSignals


class PeriodicSave(L.Callback):
    """Calls `save(step)` every n steps and when a signal asks for a stop; ends the run in the second case.

    Args:
        save: writes a checkpoint of the state after `step` steps.
        every_n_steps: 0: never by itself.
        stop: tells of signals.
    """

    def __init__(self, save: Callable[[int], None], every_n_steps: int, stop: StopSignals) -> None:
        self._save = save
        self._every_n_steps = every_n_steps
        self._stop = stop

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes the signals from Lightning, which puts back what was there before it."""
        self._stop.listen()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: StepBatch, batch_idx: int
    ) -> None:
        """Saves when it is due."""
        steps_done = batch.step + 1
        is_due = self._every_n_steps > 0 and steps_done % self._every_n_steps == 0
        if is_due:
            self._save(steps_done)
        if self._stop.is_asked():  # asked last: a signal may come while it saves
            if not is_due:
                self._save(steps_done)
            trainer.should_stop = True
