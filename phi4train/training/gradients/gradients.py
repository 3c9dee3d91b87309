"""What a step asks of a strategy: backward passes, one reduction, norms, and the optimizer's step."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor

from phi4train.batch import Batch
from phi4train.checkpoint.slices import SliceReader
from phi4train.data.order.dealing import VirtualRanks
from phi4train.training.micro_batch import MicroBatchShare


class Gradients(Protocol):
    """The gradients of one optimizer step after the other, and the optimizer that they feed.

    A step is `zero`, `backward` for each micro-batch, `finish`, and then `step` or `skip`. A tensor that no
    micro-batch of any rank gave a gradient has one of zeros.
    """

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Owns the trainable tensors and no other."""

    @property
    def virtual(self) -> VirtualRanks:
        """How a step is cut, and what of it is this process's."""

    @property
    def needs_lockstep(self) -> bool:
        """Whether every rank must run as many micro-batches, each through every module that learns."""

    def share(self, batch: Batch, selections: Sequence[Any], counts: Sequence[int]) -> MicroBatchShare:
        """The share of a micro-batch, as MicroBatchLoss makes it."""

    def whole_model(self) -> AbstractContextManager[None]:
        """Inside, this rank has all weights, and may run the model by itself, on batches of its own."""

    def zero(self) -> None:
        """Starts a step: no tensor has a gradient."""

    def backward(self, loss: Tensor, virtual_rank: int) -> None:
        """Adds the gradient of a micro-batch's share of the step's loss.

        Args:
            virtual_rank: whose the micro-batch is; one of this process's, ascending.
        """

    def finish(self) -> dict[str, float]:
        """Reduces over ranks, once a step; returns the L2 norm of each component."""

    def step(self, lr: float, scale: float) -> None:
        """Scales the gradients and steps.

        Args:
            lr: learning rate before each group's own factor.
            scale: 1 or less, what clipping leaves of the gradients.
        """

    def skip(self) -> None:
        """Drops the step's gradients."""

    @property
    def num_updates(self) -> int:
        """Steps of the optimizer so far, skipped ones left out."""

    def slices(self) -> dict[str, Tensor]:
        """What this rank keeps of weights and moments (see `checkpoint.slices`); views, not copied.

        Names are `model/<component>/<key>@<start>`, and with `exp_avg`, `exp_avg_sq` once there were updates.
        """

    def load(self, tensors: SliceReader, num_updates: int) -> None:
        """Restores the `slices` of all ranks of any strategy.

        Raises:
            CheckpointError: they are not those of the trainable tensors.
        """
