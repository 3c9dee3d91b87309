"""What happens around the steps. A callback knows no other callback and never changes the maths."""

import math
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import lightning as L
import torch
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

from phi4train.data.loader import StepBatch
from phi4train.errors import BadDataError
from phi4train.training import metric_keys as keys
from phi4train.training.loader_clock import LoaderClock
from phi4train.training.module import StageModule, StepResult
from phi4train.training.progress import Progress
from phi4train.training.run_folder import RunFolder, append_line

MetricSink = Callable[[dict[str, float]], None]

_STOPPING = b"\nCtrl-C: the run ends and is saved after this step; press it again to stop at once\n"


class SampleGuard(L.Callback):
    """Counts samples, writes each skipped one to skipped.jsonl, and stops a run whose data are bad.

    Args:
        folder: where skipped.jsonl is.
        progress: counters of the run; updated before each step.
        max_bad_fraction: largest share of all samples so far that may be skipped.
        max_bad_in_a_row: skipped samples that stop the run, over steps without a good one.
    """

    def __init__(
        self, folder: RunFolder, progress: Progress, max_bad_fraction: float, max_bad_in_a_row: int
    ) -> None:
        self._folder = folder
        self._progress = progress
        self._max_bad_fraction = max_bad_fraction
        self._max_bad_in_a_row = max_bad_in_a_row

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: StepBatch, batch_idx: int
    ) -> None:
        """Counts the batch that is about to be trained on."""
        for skipped in batch.skipped:
            append_line(self._folder.skipped, {"step": batch.step, **vars(skipped)})
        self._progress.add(batch)
        problem = self._problem() if batch.skipped else None
        if problem is not None:
            causes = sorted({skipped.cause for skipped in batch.skipped})
            raise BadDataError(
                f"{problem} (now: {', '.join(causes)}). See {self._folder.skipped}, "
                "run `phi4train data check`, mend the shards or raise the limit; "
                "the last checkpoint is untouched."
            )

    def _problem(self) -> str | None:
        """The limit that the samples so far break; the share counts once one bad sample may be within it."""
        bad, in_a_row = self._progress.skipped_samples, self._progress.bad_in_a_row
        allowed = self._max_bad_fraction * (bad + self._progress.samples)
        if bad > allowed and (allowed >= 1 or self._max_bad_fraction == 0):
            return (
                f"at most data.max_bad_fraction={self._max_bad_fraction:g} of the samples may be unusable: "
                f"{bad} of {bad + self._progress.samples} are"
            )
        if in_a_row >= self._max_bad_in_a_row:
            return (
                f"fewer than data.max_bad_in_a_row={self._max_bad_in_a_row} samples may be unusable without "
                f"a step that has a good one: {in_a_row} were"
            )
        return None


class MetricsWriter(L.Callback):
    """Writes a line to metrics.jsonl for every step and hands it to further sinks every n steps.

    Args:
        folder: where metrics.jsonl is.
        progress: counters of the run.
        clock: tells how long the step waited for its data.
        every_n_steps: how often sinks are called.
        sinks: further receivers of metrics (a logger service).
    """

    def __init__(
        self,
        folder: RunFolder,
        progress: Progress,
        clock: LoaderClock,
        every_n_steps: int,
        sinks: Sequence[MetricSink],
    ) -> None:
        self._folder = folder
        self._progress = progress
        self._clock = clock
        self._every_n_steps = every_n_steps
        self._sinks = sinks
        self._started = time.perf_counter()

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: StepBatch, batch_idx: int
    ) -> None:
        """Starts the step's clock."""
        self._started = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: StepBatch, batch_idx: int
    ) -> None:
        """Writes the step's line."""
        assert isinstance(pl_module, StageModule) and pl_module.result is not None
        wait_seconds = self._clock.take_seconds()
        step_seconds = time.perf_counter() - self._started + wait_seconds
        record = step_metrics(pl_module.result, batch, step_seconds, wait_seconds)
        self._progress.skipped_steps += pl_module.result.is_skipped
        record[keys.SKIPPED_SAMPLES] = self._progress.skipped_samples
        record[keys.SKIPPED_STEPS] = self._progress.skipped_steps
        # NaN is no JSON.
        append_line(self._folder.metrics, {k: v if math.isfinite(v) else None for k, v in record.items()})
        if batch.step % self._every_n_steps == 0:
            for sink in self._sinks:
                sink(record)


def step_metrics(
    result: StepResult, batch: StepBatch, step_seconds: float, wait_seconds: float
) -> dict[str, float]:
    """One line of metrics.jsonl; losses are means over target tokens, in nats, and NaN without any."""
    num_tokens = sum(micro_batch.input_ids_T.numel() for micro_batch in batch.micro_batches)
    num_samples = sum(len(micro_batch.keys) for micro_batch in batch.micro_batches)
    metrics = {
        keys.STEP: result.step,
        keys.LOSS: result.loss,
        keys.LR: result.lr,
        keys.GRAD_NORM: result.grad_norm,
        keys.TOKENS: num_tokens,
        keys.TARGETS: result.num_targets,
        keys.SAMPLES: num_samples,
        keys.STEP_SECONDS: step_seconds,
        keys.WAIT_SECONDS: wait_seconds,
        keys.TOKENS_PER_SECOND: num_tokens / step_seconds,
        keys.SAMPLES_PER_SECOND: num_samples / step_seconds,
        keys.PEAK_MEMORY_BYTES: peak_memory_bytes(),
    }
    for task, (loss, count) in result.task_losses.items():
        metrics[keys.LOSS_PER_TASK.format(task=task)] = loss / count
    for name, loss in result.auxiliary_losses.items():
        metrics[keys.AUXILIARY_LOSS.format(name=name)] = loss
    for component, norm in result.component_grad_norms.items():
        metrics[keys.GRAD_NORM_PER_COMPONENT.format(component=component)] = norm
    return metrics


def peak_memory_bytes() -> int:
    """Largest memory so far: of the CUDA allocator when there is one, else resident memory of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


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
        self._tokens += sum(micro_batch.input_ids_T.numel() for micro_batch in batch.micro_batches)
        others = "".join(f"  {name} {loss:.3f}" for name, loss in result.auxiliary_losses.items())
        numbers = f"loss {result.loss:.3f}{others}  lr {result.lr:.2e}"
        self._bar.update(self._task, completed=result.step + 1, numbers=numbers)
        is_line_due = (result.step + 1) % self._every_n_steps == 0 or result.step + 1 == self._max_steps
        if not self._console.is_terminal and is_line_due:
            rate = self._tokens / (time.perf_counter() - self._since)
            self._console.print(f"step {result.step + 1}/{self._max_steps}  {numbers}  {rate:,.0f} tokens/s")
            self._tokens, self._since = 0, time.perf_counter()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Leaves the terminal as it was."""
        self._bar.stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Leaves the terminal as it was; Lightning calls no teardown then."""
        self._bar.stop()


class PeriodicSave(L.Callback):
    """Calls `save(step)` every n steps and when a signal asks for a stop; ends the run in the second case.

    SIGTERM, SIGUSR1 and Ctrl-C ask for a stop at the end of the step; a second Ctrl-C stops at once.

    Args:
        save: writes a checkpoint of the state after `step` steps.
        every_n_steps: 0: never by itself.
    """

    def __init__(self, save: Callable[[int], None], every_n_steps: int) -> None:
        self._save = save
        self._every_n_steps = every_n_steps
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
        if is_due or self.stop_signal is not None:
            self._save(steps_done)
        if self.stop_signal is not None:
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
