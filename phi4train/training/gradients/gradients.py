"""What a step asks of a strategy: backward passes, one reduction, norms, and the optimizer's step."""

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor


class Gradients(Protocol):
    """The gradients of one optimizer step after the other, and the optimizer that they feed.

    A step is `zero`, `backward` for each micro-batch, `finish`, and then `step` or `skip`.
    """

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """Owns the trainable tensors and no other."""

    def zero(self) -> None:
        """Starts a step: no tensor has a gradient."""

    def backward(self, loss: Tensor) -> None:
        """Adds the gradient of a micro-batch's share of the step's loss."""

    def finish(self) -> dict[str, float]:
        """Reduces over ranks, once a step; returns the L2 norm of each component that has a gradient."""

    def step(self, lr: float, scale: float) -> None:
        """Scales the gradients and steps; tensors without a gradient stay as they are.

        Args:
            lr: learning rate before each group's own factor.
            scale: 1 or less, what clipping leaves of the gradients.
        """

    def skip(self) -> None:
        """Drops the step's gradients."""

    def state(self) -> dict[str, Tensor]:
        """The optimizer's tensors as `<kind>/<component>/<key>`."""

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Restores what `state` returned.

        Raises:
            CheckpointError: the names do not belong to this stage's trainable tensors.
        """
