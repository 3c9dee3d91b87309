"""Names of components and stages are known ones, and every component comes from somewhere."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from phi4train.config.schema import Config, HardwareConfig, OptimizerConfig, RunPathsConfig
from phi4train.config.validate_components import component_problems
from phi4train.model.shapes import LoraShape, ModelShape

LM = Config(stage="lm", trainable=["language_model"], init={"language_model": "fresh"})
VISION = Config(
    stage="vision", parents=["lm"], trainable=["vision_projector"],
    init={"vision_encoder": "fresh", "vision_projector": "fresh"},
)  # fmt: skip
SPEECH = Config(
    stage="speech", parents=["vision"], trainable=["lora.vision"], init={"lora.vision": "fresh"},
)  # fmt: skip
KNOWN = {config.stage: config for config in (LM, VISION, SPEECH)}


@pytest.fixture
def problems() -> Callable[..., list[str]]:
    """What is told of a configuration in which some values are changed."""

    def told(config: Config, **changes: Any) -> list[str]:
        changed = replace(config, **changes)
        recipes = {**KNOWN, changed.stage: changed}
        return list(component_problems(changed, list(recipes), recipes.__getitem__))

    return told


@pytest.mark.parametrize("config", KNOWN.values(), ids=KNOWN)
def test_a_sound_chain_of_stages_has_no_problem(config: Config, problems: Callable[..., list[str]]) -> None:
    assert problems(config) == []


@pytest.mark.parametrize(
    ("config", "changes", "told"),
    [
        (SPEECH, {"parents": ["visoin"]}, "parents must be stages · found 'visoin' (did you mean 'vision'?) · correct"),
        (VISION, {"run": RunPathsConfig(parents={"speech": "/x"})}, "run.parents must name parents of this stage"),
        (LM, {"trainable": []}, "trainable must name at least one component · found none · name one"),
        (LM, {"trainable": ["language_model"] * 2}, "trainable must name each component once"),
        (LM, {"trainable": ["langage_model"]}, "(did you mean 'language_model'?)"),
        (LM, {"init": {}}, "the trainable component language_model must come from a parent or from init"),
        (VISION, {"parents": []}, "every run needs the component language_model"),
        (
            VISION,
            {"init": {**VISION.init, "language_model": "fresh"}},
            "init must name components that no parent provides · found 'language_model'",
        ),
        (VISION, {"init": {**VISION.init, "vision_encoder": "frsh"}}, "found 'frsh' (did you mean 'fresh'?)"),
        (
            VISION,
            {"init": {**VISION.init, "vision_encoder": "audio_encoder"}},
            "must copy a component that a parent hands on · found 'audio_encoder', which none does",
        ),
        (
            SPEECH,
            {"init": {"lora.vision": "vision_projector"}},
            "init.lora.vision must copy a component with tensors of the same shapes",
        ),
        (
            SPEECH,
            {"model": ModelShape(lora={"speech": LoraShape()})},
            "trainable must name adapters of model.lora · found 'lora.vision'",
        ),
        (LM, {"model": ModelShape(lora={"visoin": LoraShape()})}, "model.lora must name known adapters · found 'visoin'"),
        (
            VISION,
            {"optimizer": OptimizerConfig(lr_multipliers={"vision_encoder": 0.5})},
            "optimizer.lr_multipliers must name trainable components · found 'vision_encoder', which is frozen",
        ),
        (
            VISION,
            {"hardware": HardwareConfig(activation_checkpointing=["vision_projector"])},
            "must name components with layers, language_model or vision_encoder or audio_encoder",
        ),
        (LM, {"model": ModelShape(extra={"sensor.size": 1})}, "found 'sensor.size', and imports that add none · correct the name"),
    ],
)  # fmt: skip
def test_what_does_not_hold_is_told(
    config: Config, changes: dict[str, Any], told: str, problems: Callable[..., list[str]]
) -> None:
    assert any(told in problem for problem in problems(config, **changes)), problems(config, **changes)


def test_parents_that_lead_back_are_told_with_their_way(problems: Callable[..., list[str]]) -> None:
    (problem,) = problems(LM, parents=["speech"])
    assert "must not lead back to a stage · found lm -> speech -> vision -> lm · remove one" in problem


def test_nothing_is_said_of_origins_while_a_parent_is_unknown(problems: Callable[..., list[str]]) -> None:
    (problem,) = problems(SPEECH, parents=["visoin"], init={})
    assert problem.startswith("parents must be stages")


def test_an_artifact_folder_is_no_misspelt_component(problems: Callable[..., list[str]]) -> None:
    assert problems(VISION, init={**VISION.init, "vision_encoder": "runs/other/artifact"}) == []
