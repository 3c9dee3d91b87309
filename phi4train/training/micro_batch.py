"""The losses of micro-batches: one module from a batch to the share of the step's loss that it adds."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from phi4train.batch import Batch
from phi4train.model.phi4 import Phi4Model
from phi4train.training.losses.loss import Forward, LossSums, WeightedLoss, loss_per_task
from phi4train.training.ranks import Ranks


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

    def by_task(self) -> dict[str, tuple[float, int]]:
        """Sum of the objective's losses and number of its targets by task."""
        found: dict[str, tuple[float, int]] = {}
        for batch, (objective, *_) in zip(self._micro_batches, self._sums, strict=True):
            assert objective is not None
            for task, (task_loss, count) in loss_per_task(batch, objective).items():
                known_loss, known_count = found.get(task, (0.0, 0))
                found[task] = (known_loss + task_loss, known_count + count)
        return found

    def objective_sum(self, by_task: dict[str, tuple[float, int]]) -> float:
        """The objective summed over its targets in the step."""
        if by_task:
            return sum(task_loss for task_loss, _ in by_task.values())
        return sum(own[0].loss_sum.item() for own in self._sums if own[0] is not None)

    def auxiliary_means(self) -> dict[str, float]:
        """The mean of each auxiliary loss that had targets, without its weight."""
        return self._means(
            (number, self._losses[number].loss.name, own.loss_sum) for number, own in self._known() if number
        )

    def measures(self) -> dict[str, float]:
        """Means over targets of whatever else the losses told."""
        return self._means(
            (number, name, total) for number, own in self._known() for name, total in own.measures.items()
        )

    def _known(self) -> Iterator[tuple[int, LossSums]]:
        """The sums of every micro-batch with the number of their loss."""
        for sums in self._sums:
            yield from ((number, own) for number, own in enumerate(sums) if own is not None)

    def _means(self, sums: Iterable[tuple[int, str, Tensor]]) -> dict[str, float]:
        shares: dict[str, list[Tensor]] = {}
        for number, name, total in sums:
            if self.counts[number]:
                shares.setdefault(name, []).append(total / self.counts[number])
        return {name: torch.stack(parts).sum().item() for name, parts in shares.items()}


def _detached(sums: LossSums) -> LossSums:
    return LossSums(sums.loss_sum.detach(), sums.target_losses_M, sums.target_samples_M, dict(sums.measures))
