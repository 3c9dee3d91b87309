"""Targets belong to samples, and losses by task add up to the whole."""

from dataclasses import replace

import pytest
import torch

from phi4train.batch import IGNORE_INDEX
from phi4train.training.losses.loss import LossSums, label_samples, loss_per_task
from tests.unit.training.tiny_training import text_batch

LENGTHS = (9, 4, 12, 7)


def test_each_target_belongs_to_the_sample_that_holds_it() -> None:
    batch = text_batch(LENGTHS)
    samples_M = label_samples(batch)
    assert len(samples_M) == batch.num_targets
    per_sample = [int((part != IGNORE_INDEX).sum()) for part in batch.labels_T.split(list(LENGTHS))]
    assert samples_M.tolist() == [i for i, count in enumerate(per_sample) for _ in range(count)]


@pytest.mark.parametrize("tasks", [("a", "b", "a", "c"), ("a",) * 4])
def test_losses_by_task_add_up_to_the_whole(tasks: tuple[str, ...]) -> None:
    batch = replace(text_batch(LENGTHS), tasks=tasks)
    losses_M = torch.rand(batch.num_targets)
    by_task = loss_per_task(batch, LossSums(losses_M.sum(), losses_M, label_samples(batch)))
    assert by_task.keys() == set(tasks)
    assert sum(loss for loss, _ in by_task.values()) == pytest.approx(losses_M.sum().item(), rel=1e-6)
    assert sum(count for _, count in by_task.values()) == batch.num_targets
    own_M = torch.tensor([tasks[i] == "a" for i in label_samples(batch).tolist()])
    assert by_task["a"] == (pytest.approx(losses_M[own_M].sum().item(), rel=1e-6), int(own_M.sum()))


def test_a_task_without_targets_is_left_out() -> None:
    batch = text_batch(LENGTHS)
    batch.labels_T[LENGTHS[0] : sum(LENGTHS[:2])] = IGNORE_INDEX
    batch.labels_T[sum(LENGTHS[:3]) :] = IGNORE_INDEX  # samples 1 and 3 are all of task text1
    losses_M = torch.rand(batch.num_targets)
    sums = LossSums(losses_M.sum(), losses_M, label_samples(batch))
    assert loss_per_task(batch, sums).keys() == {"text0"}
    nothing = replace(batch, labels_T=torch.full_like(batch.labels_T, IGNORE_INDEX), tasks=("a",) * 4)
    assert loss_per_task(nothing, LossSums(torch.zeros(()), losses_M[:0], label_samples(nothing))) == {}


def test_a_loss_that_does_not_tell_its_targets_has_none_by_task() -> None:
    assert loss_per_task(text_batch(LENGTHS), LossSums(torch.ones(()))) == {}
