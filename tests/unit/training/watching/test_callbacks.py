import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from phi4train.batch import IGNORE_INDEX
from phi4train.data.batches.loader import SkippedSample, StepBatch
from phi4train.errors import BadDataError
from phi4train.run.record import RunRecord
from phi4train.run.run_folder import RunFolder
from phi4train.training.module import StageModule
from phi4train.training.watching import metric_keys as keys
from phi4train.training.watching.evaluating import PeriodicEvaluation
from phi4train.training.watching.loader_clock import LoaderClock
from phi4train.training.watching.loss_plot import draw_losses
from phi4train.training.watching.metrics import MetricsWriter
from phi4train.training.watching.progress import Progress
from phi4train.training.watching.sample_guard import SampleGuard
from phi4train.training.watching.saving import PeriodicSave
from tests.unit.training.tiny_training import step, text_batch

TRAINER: Any = SimpleNamespace(should_stop=False)


def with_skips(number: int, num_bad: int, lengths: tuple[int, ...] = (8, 8)) -> StepBatch:
    skipped = [SkippedSample(f"shard/{i}", "shard", "broken_image", "cut") for i in range(num_bad)]
    batches = [text_batch(lengths)] if lengths else []
    return StepBatch(number, batches, skipped, num_drawn=len(lengths) + num_bad)


def test_skipped_samples_are_written_with_their_step_and_cause(tmp_path: Path) -> None:
    folder, progress = RunFolder(tmp_path), Progress()
    guard = SampleGuard(folder, progress, max_bad_fraction=0.5, max_bad_in_a_row=10)
    guard.on_train_batch_start(TRAINER, None, with_skips(3, 1), 0)  # type: ignore[arg-type]
    (line,) = [json.loads(line) for line in folder.skipped.read_text().splitlines()]
    assert line == {"step": 3, "key": "shard/0", "shard": "shard", "cause": "broken_image", "message": "cut"}
    assert (progress.samples, progress.skipped_samples, progress.tokens) == (2, 1, 16)


def test_too_large_a_share_of_bad_samples_stops_the_run(tmp_path: Path) -> None:
    guard = SampleGuard(RunFolder(tmp_path), Progress(), max_bad_fraction=0.1, max_bad_in_a_row=1000)
    for number in range(5):
        guard.on_train_batch_start(TRAINER, None, with_skips(number, 0), 0)  # type: ignore[arg-type]
    with pytest.raises(BadDataError, match=r"max_bad_fraction=0.1.*2 of 14.*broken_image.*data check"):
        guard.on_train_batch_start(TRAINER, None, with_skips(5, 2), 0)  # type: ignore[arg-type]


def test_one_early_bad_sample_is_no_reason_to_stop(tmp_path: Path) -> None:
    guard = SampleGuard(RunFolder(tmp_path), Progress(), max_bad_fraction=0.01, max_bad_in_a_row=100)
    guard.on_train_batch_start(TRAINER, None, with_skips(0, 1), 0)  # type: ignore[arg-type]


def test_bad_samples_in_a_row_stop_the_run(tmp_path: Path) -> None:
    guard = SampleGuard(RunFolder(tmp_path), Progress(), max_bad_fraction=1.0, max_bad_in_a_row=5)
    guard.on_train_batch_start(TRAINER, None, with_skips(0, 3, lengths=()), 0)  # type: ignore[arg-type]
    with pytest.raises(BadDataError, match="max_bad_in_a_row=5"):
        guard.on_train_batch_start(TRAINER, None, with_skips(1, 3, lengths=()), 0)  # type: ignore[arg-type]


def test_bad_samples_beside_good_ones_are_not_in_a_row(tmp_path: Path) -> None:
    progress = Progress()
    guard = SampleGuard(RunFolder(tmp_path), progress, max_bad_fraction=1.0, max_bad_in_a_row=5)
    for number in range(4):
        lengths = (8,) if number == 2 else ()
        guard.on_train_batch_start(TRAINER, None, with_skips(number, 2, lengths), 0)  # type: ignore[arg-type]
        assert progress.bad_in_a_row == [2, 4, 0, 2][number]
    guard.on_train_batch_start(TRAINER, None, with_skips(4, 9, (8,)), 0)  # type: ignore[arg-type]


def test_with_a_share_of_zero_the_first_bad_sample_stops_the_run(tmp_path: Path) -> None:
    guard = SampleGuard(RunFolder(tmp_path), Progress(), max_bad_fraction=0.0, max_bad_in_a_row=5)
    guard.on_train_batch_start(TRAINER, None, with_skips(0, 0), 0)  # type: ignore[arg-type]
    with pytest.raises(
        BadDataError, match=r"max_bad_fraction=0 of the samples may be unusable · found 1 of 5 "
    ):
        guard.on_train_batch_start(TRAINER, None, with_skips(1, 1), 0)  # type: ignore[arg-type]


def test_each_step_has_one_line_of_metrics(tmp_path: Path, make_module: Callable[..., StageModule]) -> None:
    folder, module, seen = RunFolder(tmp_path), make_module(), []
    batches = [step(text_batch((8, 6)), number=0), step(text_batch((5,)), number=1)]
    clock = LoaderClock(batches)  # type: ignore[arg-type]
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


def test_a_step_without_targets_writes_null_and_is_left_out_of_the_plot(
    tmp_path: Path, make_module: Callable[..., StageModule]
) -> None:
    folder, module = RunFolder(tmp_path), make_module()
    batch = text_batch((8,))
    without = replace(batch, labels_T=torch.full_like(batch.labels_T, IGNORE_INDEX))
    clock = LoaderClock([step(without), step(batch, number=1)])  # type: ignore[arg-type]
    writer = MetricsWriter(folder, Progress(), clock, every_n_steps=2, sinks=[])
    for batches in clock:
        module.training_step(batches, 0)
        writer.on_train_batch_end(TRAINER, module, None, batches, 0)
    first, second = (
        json.loads(line, parse_constant=pytest.fail) for line in folder.metrics.read_text().splitlines()
    )
    assert first[keys.LOSS] is None and first[keys.GRAD_NORM] == 0 and second[keys.LOSS] > 0
    draw_losses(RunRecord(folder.path).steps, folder.loss_plot, "title")
    assert folder.loss_plot.is_file()


def test_a_second_ctrl_c_is_not_held_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    saver = PeriodicSave(lambda step: None, every_n_steps=0)
    saver.on_train_start(TRAINER, None)  # type: ignore[arg-type]
    try:
        os.kill(os.getpid(), signal.SIGINT)
        assert saver.stop_signal is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        saver.on_exception(TRAINER, None, KeyboardInterrupt())  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGINT) is before


def test_checkpoints_are_saved_when_due_and_when_a_signal_asks() -> None:
    saved: list[int] = []
    trainer: Any = SimpleNamespace(should_stop=False)
    saver = PeriodicSave(saved.append, every_n_steps=2)
    before = signal.getsignal(signal.SIGTERM)
    saver.on_train_start(trainer, None)  # type: ignore[arg-type]
    for number in range(4):
        saver.on_train_batch_end(trainer, None, None, step(number=number), 0)  # type: ignore[arg-type]
    assert saved == [2, 4] and not trainer.should_stop
    os.kill(os.getpid(), signal.SIGTERM)
    assert saved == [2, 4], "the handler itself must not save"
    saver.on_train_batch_end(trainer, None, None, step(number=4), 0)  # type: ignore[arg-type]
    assert saved == [2, 4, 5] and trainer.should_stop and saver.stop_signal is signal.SIGTERM
    saver.teardown(trainer, None, "fit")  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGTERM) is before


def test_evaluation_runs_when_due_but_not_at_the_last_step() -> None:
    evaluated: list[int] = []
    callback = PeriodicEvaluation(evaluated.append, every_n_steps=2, max_steps=6)
    for number in range(6):
        callback.on_train_batch_end(TRAINER, None, None, step(number=number), 0)  # type: ignore[arg-type]
    assert evaluated == [2, 4]
