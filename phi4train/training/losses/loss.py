"""What a step asks of a loss.

Shape suffixes: T tokens of the batch, D model dimension, M targets.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.model.phi4 import Phi4Model


@dataclass(frozen=True)
class Forward:
    """A micro-batch as the model sees it.

    Args:
        embedded_TD: token embeddings with media tokens in their slots.
        hidden_TD: rows after the final norm; their product with `model.head_weight` is the logits.
    """

    model: Phi4Model
    batch: Batch
    embedded_TD: Tensor
    hidden_TD: Tensor


class Selection(Protocol):
    """The part of a batch that has a loss."""

    @property
    def num_targets(self) -> int:
        """What the loss is a sum over; 0: the batch has none of it."""


@dataclass(frozen=True)
class LossSums:
    """A loss over the targets of a micro-batch.

    Args:
        loss_sum: scalar, with a gradient where anything can learn.
        target_losses_M: loss of each target, detached, for the metrics by task; None: it has no such metrics.
        target_samples_M: number in the batch of the sample of each target, int64.
        measures: sums over the targets of whatever else is told about them, detached, by name.
    """

    loss_sum: Tensor
    target_losses_M: Tensor | None = None
    target_samples_M: Tensor | None = None
    measures: Mapping[str, Tensor] = field(default_factory=dict)


class Loss(Protocol):
    """A loss of a batch; the mean over its targets in the whole step is what is minimised."""

    @property
    def name(self) -> str:
        """As metrics call it."""

    def select(self, batch: Batch) -> Selection:
        """What has the loss, known before anything is computed."""

    def sums(self, forward: Forward, selection: Any) -> LossSums:
        """The loss summed over a selection; called also without targets when the loss is the objective.

        Args:
            forward: the batch in the model.
            selection: what `select` returned for it.
        """


@dataclass(frozen=True)
class WeightedLoss:
    """A loss and the factor of its mean in what is minimised."""

    loss: Loss
    weight: float


def label_samples(batch: Batch) -> Tensor:
    """Number of the sample of each position with a label, int64 (M,)."""
    device = batch.labels_T.device
    lengths_S = torch.tensor(batch.sample_lengths, device=device)
    samples_T = torch.arange(len(batch.sample_lengths), device=device).repeat_interleave(lengths_S)
    return samples_T[batch.labels_T != IGNORE_INDEX]


def loss_per_task(batch: Batch, sums: LossSums) -> dict[str, tuple[float, int]]:
    """Sum of losses and number of targets by task; empty of a loss that does not tell them."""
    losses_M, samples_M = sums.target_losses_M, sums.target_samples_M
    if losses_M is None or samples_M is None:
        return {}
    tasks = sorted(set(batch.tasks))
    if len(tasks) == 1:
        return {tasks[0]: (losses_M.sum().item(), losses_M.numel())} if losses_M.numel() else {}
    codes_S = torch.tensor([tasks.index(task) for task in batch.tasks], device=losses_M.device)
    codes_M = codes_S[samples_M]
    task_sums = torch.zeros(len(tasks), dtype=losses_M.dtype, device=losses_M.device)
    task_sums.index_add_(0, codes_M, losses_M)
    counts = codes_M.bincount(minlength=len(tasks))
    return {
        task: (loss, count)
        for task, loss, count in zip(tasks, task_sums.tolist(), counts.tolist(), strict=True)
        if count
    }
