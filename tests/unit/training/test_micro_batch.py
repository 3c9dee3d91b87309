"""Shares of a step add up to means over its targets, in all micro-batches and ranks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import pytest
import torch

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.model.components import build_model
from phi4train.ranks import OneRank, Ranks
from phi4train.training.losses.loss import Forward, LossSums, WeightedLoss
from phi4train.training.losses.next_token import NextToken
from phi4train.training.micro_batch import MicroBatchLoss, StepLosses
from tests.unit.training.tiny_training import SHAPE, text_batch

LONG, SHORT = text_batch((20,), seed=1), text_batch((4, 3), seed=2)


Value = TypeVar("Value")


class TwoRanks(OneRank):
    """This process, and another one with the same batches."""

    size = 2

    def sum(self, values: Sequence[int]) -> list[int]:
        """Each value twice."""
        return [2 * value for value in values]

    def gather(self, value: Value) -> list[Value]:
        """The value twice."""
        return [value, value]


@dataclass(frozen=True)
class Samples:
    """The samples of a batch, where there are several."""

    num_targets: int


class PerSample:
    """A loss of 3 a sample, of samples in batches that have more than one; it tells a measure of 5 each."""

    name = "per_sample"

    def select(self, batch: Batch) -> Samples:
        """See Loss."""
        return Samples(len(batch.keys) if len(batch.keys) > 1 else 0)

    def sums(self, forward: Forward, selection: Samples) -> LossSums:
        """See Loss."""
        assert selection.num_targets, "no auxiliary loss is asked for what it did not select"
        total = 3.0 * selection.num_targets + 0.0 * forward.hidden_TD.sum()
        return LossSums(total, measures={"fives": torch.tensor(5.0 * selection.num_targets)})


def run(*batches: Batch, weight: float = 0.5, ranks: Ranks | None = None) -> tuple[StepLosses, float]:
    """The losses of a step, and the sum of the shares that its micro-batches add to what is minimised."""
    losses = [WeightedLoss(NextToken(), 1.0), WeightedLoss(PerSample(), weight)]
    micro_batch = MicroBatchLoss(build_model(SHAPE, ("language_model",), seed=0), losses)
    step = StepLosses(losses, batches, ranks or OneRank())
    minimised = 0.0
    for batch, selections in zip(batches, step.selections, strict=True):
        share = micro_batch(batch, selections, step.counts)
        step.add(share)
        minimised += share.loss.item()
    return step, minimised


def test_counts_are_of_each_loss_over_micro_batches_and_ranks() -> None:
    targets = LONG.num_targets + SHORT.num_targets
    assert run(LONG, SHORT)[0].counts == [targets, 2]
    assert run(LONG, SHORT, ranks=TwoRanks())[0].counts == [2 * targets, 4]
    assert run()[0].counts == [0, 0]


def test_what_is_minimised_is_the_weighted_sum_of_the_means() -> None:
    for weight in (0.0, 0.5, 2.0):
        step, minimised = run(LONG, SHORT, weight=weight)
        totals = step.totals()
        mean = totals.objective_sum / step.counts[0]
        assert minimised == pytest.approx(mean + weight * 3.0, rel=1e-5)
        assert totals.auxiliary_means == {"per_sample": pytest.approx(3.0)}
        assert totals.measures == {"fives": pytest.approx(5.0)}


def test_a_rank_adds_its_part_of_a_mean_over_all_ranks() -> None:
    alone, minimised = run(LONG, SHORT)
    shared, half = run(LONG, SHORT, ranks=TwoRanks())
    assert half == pytest.approx(minimised / 2, rel=1e-6)
    assert shared.totals().objective_sum == 2 * alone.totals().objective_sum
    assert (
        shared.totals().auxiliary_means
        == alone.totals().auxiliary_means
        == {"per_sample": pytest.approx(3.0)}
    )


def test_losses_by_task_are_summed_over_micro_batches() -> None:
    step = run(LONG, SHORT)[0].totals()
    one, other = run(LONG)[0].totals(), run(SHORT)[0].totals()
    for task, (loss, count) in step.by_task.items():
        parts = [part.by_task[task] for part in (one, other) if task in part.by_task]
        assert count == sum(number for _, number in parts)
        assert loss == pytest.approx(sum(own for own, _ in parts), rel=1e-6)


def test_sums_do_not_depend_on_the_order_of_micro_batches() -> None:
    many = [LONG, SHORT, SHORT, LONG, SHORT]
    assert run(*many)[0].totals() == run(*reversed(many))[0].totals()


def test_a_loss_without_targets_is_not_told() -> None:
    step, minimised = run(LONG)
    totals = step.totals()
    assert step.counts[1] == 0 and totals.auxiliary_means == {} == totals.measures
    assert minimised == pytest.approx(totals.objective_sum / LONG.num_targets, rel=1e-5)
    silent = replace(LONG, labels_T=torch.full_like(LONG.labels_T, IGNORE_INDEX))
    step, minimised = run(silent)
    totals = step.totals()
    assert step.counts == [0, 0] and totals.by_task == {} and minimised == 0 == totals.objective_sum


def test_what_is_noted_of_a_share_keeps_no_graph() -> None:
    losses = [WeightedLoss(NextToken(), 1.0)]
    micro_batch = MicroBatchLoss(build_model(SHAPE, ("language_model",), seed=0), losses)
    step = StepLosses(losses, [LONG], OneRank())
    share = micro_batch(LONG, step.selections[0], step.counts)
    step.add(share)
    assert share.loss.requires_grad
    assert not any(own.loss_sum.requires_grad for sums in step._sums for own in sums if own is not None)
