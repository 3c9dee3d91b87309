"""AdamW over the trainable tensors, with state that is saved and loaded by tensor name."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from phi4train.errors import CheckpointError

STATE_KINDS = ("exp_avg", "exp_avg_sq", "step")


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


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """State tensors as `<kind>/<component>/<key>`; a parameter that has not been stepped yet has none."""
    return {
        f"{kind}/{name}": optimizer.state[parameter][kind]
        for name, parameter in named.items()
        if parameter in optimizer.state
        for kind in STATE_KINDS
    }


def load_optimizer_tensors(
    optimizer: torch.optim.Optimizer, named: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    """Restores what `optimizer_tensors` returned, on each parameter's device and moments in its dtype.

    Raises:
        CheckpointError: the names do not belong to this stage's trainable tensors.
    """
    unknown = {key.split("/", 1)[1] for key in tensors} - named.keys()
    if unknown:
        raise CheckpointError(
            "optimizer state must belong to this stage's trainable tensors · "
            f"found {', '.join(sorted(unknown)[:5])}, which do not · "
            "start anew with resume=overwrite (the old run is set aside, not deleted)"
        )
    for name, parameter in named.items():
        state = {kind: tensors[f"{kind}/{name}"] for kind in STATE_KINDS if f"{kind}/{name}" in tensors}
        if state:
            optimizer.state[parameter] = {
                kind: tensor.to(
                    parameter.device, tensor.dtype if kind == "step" else parameter.dtype, copy=True
                )
                for kind, tensor in state.items()
            }
