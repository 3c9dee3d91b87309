"""Activation checkpointing is switched by component; its gradients are tested with the layers."""

import pytest

from phi4train.model.activation_checkpointing import set_activation_checkpointing
from phi4train.model.components import build_model
from tests.unit.training.tiny_training import SHAPE

COMPONENTS = ("language_model", "vision_encoder", "vision_projector")


def switched_on(model: object) -> set[str]:
    named = model.named_modules()  # type: ignore[attr-defined]
    return {name for name, module in named if getattr(module, "activation_checkpointing", False)}


def test_exactly_the_named_components_recompute_and_the_others_stop_doing_so() -> None:
    model = build_model(SHAPE, COMPONENTS, seed=0)
    set_activation_checkpointing(model, ["vision_encoder"])
    first = switched_on(model)
    assert first and all(name.startswith("encoders.image.encoder") for name in first)
    set_activation_checkpointing(model, ["language_model"])
    second = switched_on(model)
    assert second and all(name.startswith("language_model") for name in second)
    set_activation_checkpointing(model, [])
    assert switched_on(model) == set()


@pytest.mark.parametrize("name", ["vision_projector", "audio_encoder", "vison_encoder"])
def test_what_has_no_layers_or_is_not_installed_is_refused_and_nothing_changes(name: str) -> None:
    model = build_model(SHAPE, COMPONENTS, seed=0)
    with pytest.raises(ValueError, match=rf"components with layers · found '{name}'.* · choose among"):
        set_activation_checkpointing(model, ["language_model", name])
    assert switched_on(model) == set()
