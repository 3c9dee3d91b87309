"""The gradients of a run of one process."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from phi4train.training.optimizer import (
    AdamWSettings,
    build_adamw,
    load_optimizer_tensors,
    optimizer_tensors,
    set_lr,
)


class OneProcessGradients:
    """See Gradients.

    Args:
        named: the trainable tensors as `<component>/<key>`.
        settings: of AdamW.
    """

    def __init__(self, named: Mapping[str, nn.Parameter], settings: AdamWSettings) -> None:
        self._named = dict(named)
        self.optimizer: torch.optim.Optimizer = build_adamw(named, settings)

    def zero(self) -> None:
        """See Gradients."""
        self.optimizer.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> None:
        """See Gradients."""
        torch.autograd.backward(loss)

    def finish(self) -> dict[str, float]:
        """See Gradients; nothing is to be reduced."""
        named = [(name, p.grad) for name, p in self._named.items() if p.grad is not None]
        if not named:
            return {}
        norms = torch.stack(torch._foreach_norm([grad for _, grad in named])).double().tolist()
        squares: dict[str, float] = {}
        for (name, _), norm in zip(named, norms, strict=True):
            component = name.split("/", 1)[0]
            squares[component] = squares.get(component, 0.0) + norm**2
        return {component: square**0.5 for component, square in squares.items()}

    def step(self, lr: float, scale: float) -> None:
        """See Gradients."""
        if scale != 1.0:
            gradients = [p.grad for p in self._named.values() if p.grad is not None]
            torch._foreach_mul_(gradients, scale)
        set_lr(self.optimizer, lr)
        self.optimizer.step()

    def skip(self) -> None:
        """See Gradients."""
        self.zero()

    def state(self) -> dict[str, Tensor]:
        """See Gradients."""
        return optimizer_tensors(self.optimizer, self._named)

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """See Gradients."""
        load_optimizer_tensors(self.optimizer, self._named, tensors)
