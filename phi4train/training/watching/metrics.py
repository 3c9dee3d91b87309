"""Writes what each step measured."""

import math
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any

import lightning as L
import torch

from phi4train.data.batches.loader import StepBatch
from phi4train.run.run_folder import RunFolder, append_line
from phi4train.training.module import StageModule, StepResult
from phi4train.training.watching import metric_keys as keys
from phi4train.training.watching.loader_clock import LoaderClock
from phi4train.training.watching.progress import Progress

MetricSink = Callable[[dict[str, float]], None]


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
    num_tokens, num_samples = batch.facts.num_tokens, batch.facts.num_samples
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
    for name, measure in result.measures.items():
        metrics[keys.MEASURE.format(name=name)] = measure
    for component, norm in result.component_grad_norms.items():
        metrics[keys.GRAD_NORM_PER_COMPONENT.format(component=component)] = norm
    return metrics


def peak_memory_bytes() -> int:
    """Largest memory so far: of the CUDA allocator when there is one, else resident memory of the process."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
