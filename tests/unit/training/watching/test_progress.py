"""Counters of a run add up over its steps and survive a checkpoint."""

import json
from dataclasses import asdict

from phi4train.data.batches.loader import SkippedSample, StepBatch
from phi4train.training.watching.progress import Progress
from tests.unit.training.tiny_training import text_batch

BAD = SkippedSample("shard/0", "shard", "broken_image", "cut")


def test_used_and_skipped_samples_tokens_and_targets_are_counted() -> None:
    progress, one, two = Progress(), text_batch((8, 6)), text_batch((4,))
    progress.add(StepBatch(0, [one, two], [0, 0], [BAD], num_drawn=4))
    assert (progress.samples, progress.skipped_samples) == (3, 1)
    assert progress.tokens == 18 and progress.targets == one.num_targets + two.num_targets > 0
    before = Progress(**asdict(progress))
    progress.add(StepBatch(1, [one, two], [0, 0], [BAD], num_drawn=4))
    for name in ("samples", "tokens", "targets", "skipped_samples"):
        assert getattr(progress, name) == 2 * getattr(before, name), name


def test_bad_samples_count_in_a_row_until_a_step_has_a_good_one() -> None:
    progress, seen = Progress(), []
    for num_bad, num_good in ((2, 0), (3, 0), (4, 1), (1, 0), (0, 1)):
        batches = [text_batch((5,) * num_good)] if num_good else []
        progress.add(StepBatch(0, batches, [0] * len(batches), [BAD] * num_bad, num_drawn=num_bad + num_good))
        seen.append(progress.bad_in_a_row)
    assert seen == [2, 5, 0, 1, 0]


def test_counters_come_back_from_a_checkpoints_json() -> None:
    progress = Progress(1, 2, 3, 4, 5, 6)
    assert Progress.from_document(json.loads(json.dumps(progress.to_document()))) == progress
