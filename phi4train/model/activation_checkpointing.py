"""Recomputes the layers of chosen components in the backward pass, to save their activations."""

from collections.abc import Collection
from typing import Any

from torch import nn

from phi4train.errors import did_you_mean
from phi4train.model.components import component_names, registered_component


def set_activation_checkpointing(model: nn.Module, components: Collection[str]) -> None:
    """Recomputes the layers of exactly `components` in the backward pass; others keep their activations.

    Raises:
        ValueError: a component has no layers that can be recomputed, or is not installed.
    """
    switches = {name: _switches_of(model, name) for name in component_names()}
    able = [name for name, modules in switches.items() if modules]
    wrong = [f"'{name}'{did_you_mean(name, able)}" for name in components if name not in able]
    if wrong:
        raise ValueError(
            "activation checkpointing must name installed components with layers · "
            f"found {', '.join(wrong)} · choose among {able}"
        )
    for name in able:
        for module in switches[name]:
            module.activation_checkpointing = name in components


def _switches_of(model: nn.Module, component: str) -> list[Any]:
    """The modules of a component that can recompute themselves."""
    canonical_key = registered_component(component).canonical_key
    return [
        module
        for name, module in model.named_modules()
        if hasattr(module, "activation_checkpointing") and canonical_key(name) is not None
    ]
