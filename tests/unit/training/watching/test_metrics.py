"""Each step leaves one line of metrics, which is JSON whatever the loss is."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from phi4train.ranks import OneRank
from phi4train.run.run_folder import RunFolder
from phi4train.training.module import StageModule, StepResult
from phi4train.training.watching import metric_keys as keys
from phi4train.training.watching import metrics
from phi4train.training.watching.loader_clock import LoaderClock
from phi4train.training.watching.metrics import MetricsWriter, step_metrics
from phi4train.training.watching.progress import Progress
from tests.unit.training.tiny_training import step, text_batch

TRAINER: Any = SimpleNamespace(should_stop=False)


def test_each_step_has_one_line_of_metrics(tmp_path: Path, make_module: Callable[..., StageModule]) -> None:
    folder, module, seen = RunFolder(tmp_path), make_module(), []
    batches = [step(text_batch((8, 6)), number=0), step(text_batch((5,)), number=1)]
    clock = LoaderClock(batches, OneRank())  # type: ignore[arg-type]
    writer = MetricsWriter(folder, Progress(), clock, every_n_steps=2, sinks=[seen.append])
    for batch in clock:
        writer.on_train_batch_start(TRAINER, module, batch, 0)
        module.training_step(batch, 0)
        writer.on_train_batch_end(TRAINER, module, None, batch, 0)
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [line[keys.STEP] for line in lines] == [0, 1]
    assert [line[keys.TOKENS] for line in lines] == [14, 5]
    assert lines[0]["optim/grad_norm/language_model"] == pytest.approx(lines[0][keys.GRAD_NORM])
    assert [metrics[keys.STEP] for metrics in seen] == [0]


def test_rates_follow_from_tokens_samples_and_seconds() -> None:
    result = StepResult(4, loss=2.0, lr=0.1, grad_norm=3.0, is_skipped=False, num_targets=10)
    found = step_metrics(result, step(text_batch((8, 6)), text_batch((2,))), 0.5, wait_seconds=0.25)
    assert (found[keys.TOKENS], found[keys.SAMPLES], found[keys.TARGETS]) == (16, 3, 10)
    assert (found[keys.TOKENS_PER_SECOND], found[keys.SAMPLES_PER_SECOND]) == (32, 6)
    assert (found[keys.STEP_SECONDS], found[keys.WAIT_SECONDS]) == (0.5, 0.25)
    assert found[keys.PEAK_MEMORY_BYTES] > 2**20


def test_losses_of_tasks_are_means_and_those_beside_the_loss_have_their_names() -> None:
    result = StepResult(
        *(0, 2.0, 0.1, 3.0, False, 10),
        task_losses={"vqa": (6.0, 4), "text": (1.0, 2)},
        component_grad_norms={"lora.vision": 0.5},
        auxiliary_losses={"ctc": 0.75},
    )
    found = step_metrics(result, step(text_batch((8,))), 1.0, 0.0)
    assert (found["train/loss/vqa"], found["train/loss/text"]) == (1.5, 0.5)
    assert (found["train/ctc_loss"], found["optim/grad_norm/lora.vision"]) == (0.75, 0.5)


def test_the_wait_for_data_is_part_of_a_steps_seconds(
    tmp_path: Path, make_module: Callable[..., StageModule], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(metrics.time, "perf_counter", lambda: now[0])
    clock: Any = SimpleNamespace(take_seconds=lambda: 0.25)
    folder, module, batch = RunFolder(tmp_path), make_module(), step(text_batch((8,)))
    writer = MetricsWriter(folder, Progress(), clock, every_n_steps=1, sinks=[])
    writer.on_train_batch_start(TRAINER, module, batch, 0)
    module.training_step(batch, 0)
    now[0] += 3
    writer.on_train_batch_end(TRAINER, module, None, batch, 0)
    line = json.loads(folder.metrics.read_text())
    assert (line[keys.STEP_SECONDS], line[keys.WAIT_SECONDS]) == (3.25, 0.25)


def test_skipped_steps_and_samples_are_those_of_the_whole_run(
    tmp_path: Path, make_module: Callable[..., StageModule]
) -> None:
    folder, module = RunFolder(tmp_path), make_module()
    progress = Progress(skipped_samples=7, skipped_steps=2)
    writer = MetricsWriter(folder, progress, LoaderClock([], OneRank()), every_n_steps=1, sinks=[])  # type: ignore[arg-type]
    for number, batches in enumerate(([], [text_batch((8,))], [])):
        batch = step(*batches, number=number)
        module.training_step(batch, 0)
        writer.on_train_batch_end(TRAINER, module, None, batch, 0)
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [line[keys.SKIPPED_STEPS] for line in lines] == [3, 3, 4]
    assert {line[keys.SKIPPED_SAMPLES] for line in lines} == {7}
