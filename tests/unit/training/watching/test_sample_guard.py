"""A run whose data are bad stops with the limit that they broke."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from phi4train.data.batches.loader import SkippedSample, StepBatch
from phi4train.errors import BadDataError
from phi4train.run.run_folder import RunFolder
from phi4train.training.watching.progress import Progress
from phi4train.training.watching.sample_guard import SampleGuard
from tests.unit.training.tiny_training import text_batch

TRAINER: Any = SimpleNamespace(should_stop=False)


def with_skips(number: int, num_bad: int, lengths: tuple[int, ...] = (8, 8)) -> StepBatch:
    skipped = [SkippedSample(f"shard/{i}", "shard", "broken_image", "cut") for i in range(num_bad)]
    batches = [text_batch(lengths)] if lengths else []
    return StepBatch(number, batches, [0] * len(batches), skipped, num_drawn=len(lengths) + num_bad)


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
