"""AdamW over the trainable tensors, with state that is saved and loaded by tensor name."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phi4train.checkpoint.slices import SliceReader

MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class AdamWSettings:
    """AdamW (Loshchilov & Hutter, arXiv 1711.05101); weight decay applies to matrices only."""

    beta1: float
    beta2: float
    eps: float
    weight_decay: float
    lr_multipliers: Mapping[str, float]
    """Factor on the learning rate by component; 1 where absent."""


def build_adamw(named: Mapping[str, nn.Parameter], settings: AdamWSettings) -> torch.optim.AdamW:
    """Fused AdamW; each group carries `lr_multiplier`, and its learning rate is set before every step.

    Args:
        named: the trainable tensors as `<component>/<key>`.
        settings: of all groups.
    """
    by_component: dict[str, list[nn.Parameter]] = {}
    for name, parameter in named.items():
        by_component.setdefault(name.split("/", 1)[0], []).append(parameter)
    groups = []
    for component, parameters in by_component.items():
        for weight_decay, members in (
            (settings.weight_decay, [p for p in parameters if p.squeeze().ndim >= 2]),
            (0.0, [p for p in parameters if p.squeeze().ndim < 2]),
        ):
            if members:
                multiplier = settings.lr_multipliers.get(component, 1.0)
                groups.append({"params": members, "weight_decay": weight_decay, "lr_multiplier": multiplier})
    return torch.optim.AdamW(
        groups, lr=0.0, betas=(settings.beta1, settings.beta2), eps=settings.eps, fused=True
    )


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Gives every group `lr` times its `lr_multiplier`."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_multiplier"]


def num_updates(optimizer: torch.optim.Optimizer) -> int:
    """Steps that the optimizer has made; all its tensors have made them together."""
    return max((int(state["step"]) for state in optimizer.state.values()), default=0)


def moments(optimizer: torch.optim.Optimizer, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The moments as `<kind>/<component>/<key>`; none before the first step."""
    return {
        f"{kind}/{name}": optimizer.state[parameter][kind]
        for name, parameter in named.items()
        if parameter in optimizer.state
        for kind in MOMENTS
    }


def load_moments(
    optimizer: torch.optim.Optimizer, named: Mapping[str, Tensor], tensors: SliceReader, num_updates: int
) -> None:
    """Restores what `moments` returned, on each parameter's device and in its dtype.

    Raises:
        CheckpointError: they are not those of these tensors.
    """
    if num_updates == 0:
        return
    for name, parameter in named.items():
        optimizer.state[parameter] = {
            "step": torch.tensor(float(num_updates)),
            **{
                kind: tensors.read(f"{kind}/{name}", parameter.shape).to(parameter, copy=True)
                for kind in MOMENTS
            },
        }
