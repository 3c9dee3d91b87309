"""Saves the state every n steps and when a signal asks for a stop."""

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

import lightning as L

from phi4train.data.batches.loader import StepBatch
from phi4train.ranks import Ranks

_STOPPING = b"\nCtrl-C: the run ends and is saved after this step; press it again to stop at once\n"


class PeriodicSave(L.Callback):
    """Calls `save(step)` every n steps and when a signal asks for a stop; ends the run in the second case.

    SIGTERM, SIGUSR1 and Ctrl-C ask for a stop at the end of the step; a second Ctrl-C stops at once.

    Args:
        save: writes a checkpoint of the state after `step` steps.
        every_n_steps: 0: never by itself.
        ranks: a signal to one of them stops all.
    """

    def __init__(self, save: Callable[[int], None], every_n_steps: int, ranks: Ranks) -> None:
        self._save = save
        self._every_n_steps = every_n_steps
        self._ranks = ranks
        self._previous_handlers: dict[signal.Signals, Any] = {}
        self.stop_signal: signal.Signals | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes over the signals: the handler only sets a flag."""
        for signum in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            self._previous_handlers[signum] = signal.signal(signum, self._request_stop)

    def _request_stop(self, signum: int, frame: FrameType | None) -> None:
        if signum == self.stop_signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.stop_signal = signal.Signals(signum)
        if signum == signal.SIGINT:
            os.write(2, _STOPPING)  # unlike print, allowed anywhere in a handler

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: StepBatch, batch_idx: int
    ) -> None:
        """Saves when it is due."""
        steps_done = batch.step + 1
        is_due = self._every_n_steps > 0 and steps_done % self._every_n_steps == 0
        if is_due:
            self._save(steps_done)
        if self._ranks.any(self.stop_signal is not None):  # asked last: a signal may come while it saves
            if not is_due:
                self._save(steps_done)
            trainer.should_stop = True

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Gives the signals back."""
        self._give_back()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Gives the signals back; Lightning calls no teardown then."""
        self._give_back()

    def _give_back(self) -> None:
        for signum, handler in self._previous_handlers.items():
            signal.signal(signum, handler)
        self._previous_handlers.clear()
