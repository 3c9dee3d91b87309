"""The losses of micro-batches: one module from a batch to the share of the step's loss that it adds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from phi4train.batch import Batch
from phi4train.model.phi4 import Phi4Model
from phi4train.ranks import Ranks
from phi4train.training.losses.loss import Forward, LossSums, WeightedLoss, loss_per_task


@dataclass(frozen=True)
class MicroBatchShare:
    """What one micro-batch adds to a step.

    Args:
        loss: its share of what is minimised, a scalar.
        sums: of each loss; None where the batch has no targets of it.
    """

    loss: Tensor
    sums: tuple[LossSums | None, ...]


class MicroBatchLoss(nn.Module):
    """Embeds, decodes and takes every loss of a micro-batch.

    Args:
        model: built and frozen.
        losses: the objective first.
    """

    def __init__(self, model: Phi4Model, losses: Sequence[WeightedLoss]) -> None:
        super().__init__()
        self.model = model
        self.losses = tuple(losses)

    def forward(self, batch: Batch, selections: Sequence[Any], counts: Sequence[int]) -> MicroBatchShare:
        """The share of a micro-batch.

        Args:
            batch: the micro-batch.
            selections: what each loss selected of it.
            counts: targets of each loss in the whole step, over all ranks.
        """
        embedded_TD = self.model.embed(batch)
        hidden_TD = self.model.decode_batch(embedded_TD, batch)
        forward = Forward(self.model, batch, embedded_TD, hidden_TD)
        objective, *others = self.losses
        first = objective.loss.sums(forward, selections[0])
        loss = objective.weight * (first.loss_sum / max(1, counts[0]))
        sums: list[LossSums | None] = [first]
        for weighted, selection, count in zip(others, selections[1:], counts[1:], strict=True):
            own = weighted.loss.sums(forward, selection) if selection.num_targets else None
            if own is not None:
                loss = loss + weighted.weight * (own.loss_sum / count)
            sums.append(own)
        return MicroBatchShare(loss, tuple(sums))


@dataclass(frozen=True)
class StepTotals:
    """The losses of a step over all ranks.

    Args:
        objective_sum: of the objective, over its targets.
        by_task: the same, and the number of targets, by task; empty when the objective does not tell.
        auxiliary_means: the mean of each other loss that had targets, without its weight.
        measures: means over targets of whatever else the losses told.
    """

    objective_sum: float
    by_task: dict[str, tuple[float, int]]
    auxiliary_means: dict[str, float]
    measures: dict[str, float]


class StepLosses:
    """The losses of one optimizer step, each a mean over its targets in all micro-batches and ranks.

    Args:
        losses: the objective first.
        micro_batches: of this rank.
        ranks: the counts of targets are summed over.
    """

    def __init__(self, losses: Sequence[WeightedLoss], micro_batches: Sequence[Batch], ranks: Ranks) -> None:
        self._losses = losses
        self._micro_batches = micro_batches
        self._ranks = ranks
        self.selections = [[own.loss.select(batch) for own in losses] for batch in micro_batches]
        """By micro-batch, by loss."""
        self.counts = ranks.sum(
            [sum(own[i].num_targets for own in self.selections) for i in range(len(losses))]
        )
        """Targets of each loss in the step."""
        self._sums: list[tuple[LossSums | None, ...]] = []

    def add(self, share: MicroBatchShare) -> None:
        """Notes the sums of the next micro-batch, without their graph."""
        self._sums.append(tuple(own and _detached(own) for own in share.sums))

    def totals(self) -> StepTotals:
        """What all ranks found; the sums are exact, and so do not depend on who computed what."""
        terms = _Terms()
        for batch, sums in zip(self._micro_batches, self._sums, strict=True):
            self._note(terms, batch, sums)
        everyone = _joined(self._ranks.gather(terms))
        means = {
            (number, name): math.fsum(values) / self.counts[number]
            for (number, name), values in sorted(everyone.sums.items())
            if self.counts[number]
        }
        by_task = {
            task: (math.fsum(values), everyone.task_counts[task])
            for task, values in sorted(everyone.task_sums.items())
        }
        told = [value for values in everyone.task_sums.values() for value in values]
        return StepTotals(
            objective_sum=math.fsum(told or everyone.sums.get((0, _OWN), [])),
            by_task=by_task,
            auxiliary_means={
                self._losses[number].loss.name: mean
                for (number, name), mean in means.items()
                if number and name == _OWN
            },
            measures={name: mean for (_, name), mean in means.items() if name != _OWN},
        )

    def _note(self, terms: "_Terms", batch: Batch, sums: Sequence[LossSums | None]) -> None:
        """Adds the sums of one micro-batch."""
        for number, own in enumerate(sums):
            if own is None:
                continue
            terms.sums.setdefault((number, _OWN), []).append(own.loss_sum.item())
            for name, total in own.measures.items():
                terms.sums.setdefault((number, name), []).append(total.item())
        objective = sums[0]
        assert objective is not None
        for task, (task_loss, count) in loss_per_task(batch, objective).items():
            terms.task_sums.setdefault(task, []).append(task_loss)
            terms.task_counts[task] = terms.task_counts.get(task, 0) + count


_OWN = ""
"""Stands for a loss's own sum where measures have names."""


@dataclass
class _Terms:
    """What micro-batches add to the sums of a step, each a term of its own."""

    sums: dict[tuple[int, str], list[float]] = field(default_factory=dict)
    """By number of the loss and name of the measure."""
    task_sums: dict[str, list[float]] = field(default_factory=dict)
    task_counts: dict[str, int] = field(default_factory=dict)


def _joined(parts: Sequence[_Terms]) -> _Terms:
    joined = _Terms()
    for part in parts:
        for key, values in part.sums.items():
            joined.sums.setdefault(key, []).extend(values)
        for task, values in part.task_sums.items():
            joined.task_sums.setdefault(task, []).extend(values)
            joined.task_counts[task] = joined.task_counts.get(task, 0) + part.task_counts[task]
    return joined


def _detached(sums: LossSums) -> LossSums:
    return LossSums(sums.loss_sum.detach(), sums.target_losses_M, sums.target_samples_M, dict(sums.measures))
