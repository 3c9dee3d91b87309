"""A modality is one declaration: all of it is known afterwards, or nothing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import nn

from phi4train.data.media.registry import (
    RegisteredKinds,
    find_media_kind,
    kind_of_extension,
    media_kinds,
    mode_of,
    remove_media_kind,
)
from phi4train.errors import SampleError
from phi4train.modality import (
    Component,
    ComponentFacts,
    Modality,
    Mode,
    register_modality,
    unregister_modality,
)
from phi4train.model.activation_checkpointing import set_activation_checkpointing
from phi4train.model.component_names import (
    COMPONENT_NAMES,
    FRESH,
    known_components,
    known_sizes,
    layered_components,
    media_components,
)
from phi4train.model.components import (
    build_model,
    component_names,
    installed_components,
    key_under,
    lora_component,
)
from phi4train.model.phi4 import Phi4Model
from phi4train.model.routing import adapter_of_mode
from phi4train.model.shapes import LanguageModelShape, LoraShape, ModelShape, RopeShape
from phi4train.modes import adapter_of_kind, find_mode_of, forget_kind, known_modes


@dataclass(frozen=True)
class RadarKind:
    """The names of a kind; nothing here decodes anything."""

    name: str = "radar"
    version: int = 1
    extensions: tuple[str, ...] = ("radar", "rdr")
    slot_token: str = "<|tag|>"


class RadarEncoder(nn.Linear):
    """A part with layers to recompute."""

    activation_checkpointing = False


def install(model: Phi4Model, shape: ModelShape) -> None:
    model.encoders["radar"] = nn.Sequential(RadarEncoder(4, 4), nn.Linear(4, shape.language_model.hidden_dim))


def part(name: str, module: str = "0", **facts: Any) -> Component:
    def initialise(model: Phi4Model, shape: ModelShape, generator: torch.Generator) -> None:
        for parameter in model.get_submodule(f"encoders.radar.{module}").parameters():
            parameter.zero_()

    return Component(
        name, install, key_under(f"encoders.radar.{module}"), initialise, facts=ComponentFacts(**facts)
    )


def modality(kind: Any = None, **changes: Any) -> Modality:
    """Radar with an encoder that has layers, a projector, two modes and a LoRA."""
    declared = Modality(
        kind=kind or RadarKind(),  # type: ignore[arg-type]
        components=(
            part("radar_encoder", has_layers=True, sizes={"width": 8}),
            part("radar_projector", "1"),
        ),
        modes=(
            Mode("radar", ("radar",), "radar"),
            Mode("radar_speech", ("audio", "radar"), "speech"),
        ),
        adapter="radar",
    )
    return replace(declared, **changes)


def everything() -> list[object]:
    """All that a declaration may add to."""
    return [
        *(media_kinds(), known_modes(), component_names(), known_components(), known_sizes()),
        *(adapter_of_kind("radar"), layered_components(), media_components()),
    ]


@pytest.fixture
def untouched() -> Iterator[list[object]]:
    """What is known before the test, and again after it."""
    before = everything()
    yield before
    assert everything() == before


@pytest.fixture
def declare(untouched: list[object]) -> Iterator[Callable[[Modality], None]]:
    declared: list[str] = []

    def registered(modality: Modality) -> None:
        register_modality(modality)
        declared.append(modality.kind.name)

    yield registered
    for name in reversed(declared):
        unregister_modality(name)


def test_one_declaration_is_known_everywhere(declare: Callable[[Modality], None]) -> None:
    declare(modality())
    assert find_media_kind("radar") == kind_of_extension("RDR") == RadarKind()
    assert (mode_of(["radar"]), mode_of(["radar", "audio"])) == ("radar", "radar_speech")
    assert (adapter_of_mode("radar"), adapter_of_mode("radar_speech")) == ("radar", "speech")
    assert adapter_of_kind("radar") == "radar"
    own = ("radar_encoder", "radar_projector", "lora.radar")
    assert known_components() == component_names() == (*COMPONENT_NAMES, *own)
    assert media_components("radar") == own[:2] and layered_components()[-1] == "radar_encoder"
    assert known_sizes() == {"radar_encoder.width": 8}


def test_a_declared_part_with_layers_recomputes_them(declare: Callable[[Modality], None]) -> None:
    declare(modality())
    rope = RopeShape(short_factor=[1.0] * 6, long_factor=[2.0] * 6)
    shape = ModelShape(LanguageModelShape(61, 64, 48, 1, 4, 2, rope=rope), lora={"radar": LoraShape(2, 4)})
    names = ("language_model", "radar_encoder", "radar_projector", "lora.radar")
    model = build_model(shape, names, seed=0)
    assert set(installed_components(model)) == set(names)
    set_activation_checkpointing(model, ["radar_encoder"])
    assert model.get_submodule("encoders.radar.0").activation_checkpointing is True


def test_an_adapter_that_is_there_is_shared(declare: Callable[[Modality], None]) -> None:
    declare(modality(adapter="vision", modes=(Mode("radar", ("radar",), "vision"),)))
    assert "lora.vision" in known_components() and adapter_of_kind("radar") == "vision"
    unshared = [name for name in known_components() if name not in COMPONENT_NAMES]
    assert unshared == ["radar_encoder", "radar_projector"]


def test_an_adapter_may_be_declared_as_a_component(declare: Callable[[Modality], None]) -> None:
    declare(modality(components=(part("radar_encoder"), lora_component("radar"))))
    assert known_components()[-2:] == ("radar_encoder", "lora.radar")
    assert media_components("radar") == ("radar_encoder",), "a LoRA makes no tokens"


def test_a_modality_without_parts_of_a_model_is_known_to_data_alone(
    declare: Callable[[Modality], None],
) -> None:
    declare(modality(components=(), modes=(Mode("radar", ("radar",), None),), adapter=None))
    assert known_components() == COMPONENT_NAMES and adapter_of_kind("radar") is None
    assert adapter_of_mode("radar") is None


RADAR = Mode("radar", ("radar",), None)


IMGAE, VISOIN = Mode("x", ("radar", "imgae"), None), Mode("x", ("radar",), "visoin")


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        (modality(RadarKind(name="audio")), "name 'audio' taken"),
        (modality(RadarKind(name="video")), "name 'video' taken"),
        (modality(RadarKind(extensions=("rdr", "wav"))), "extension 'wav' taken"),
        (modality(RadarKind(extensions=("json",))), "extension 'json' taken"),
        (modality(RadarKind(slot_token="<|endoftext10|>")), "slot token <|endoftext10|> taken"),
        (modality(modes=(Mode("speech", ("radar",), None),)), "mode 'speech' taken"),
        (modality(modes=(RADAR, Mode("radar", ("radar", "image"), None))), "mode 'radar' taken"),
        (modality(modes=(RADAR, Mode("other", ("radar",), None))), "media ['radar'] taken by a mode"),
        (modality(modes=(Mode("x", ("audio",), None),)), "media ['audio'] taken by a mode"),
        (modality(modes=(Mode("x", ("audio",), None),)), "mode 'x' without media of its own kind"),
        (modality(modes=(IMGAE,)), "mode 'x' with unknown media 'imgae' (did you mean 'image'?)"),
        (modality(modes=(VISOIN,)), "mode 'x' with unknown adapter 'visoin' (did you mean 'vision'?)"),
        (modality(components=(part("vision_encoder"),)), "component 'vision_encoder' taken"),
        (modality(components=(part("radar"), part("radar"))), "component 'radar' taken"),
        (modality(components=(lora_component("speech"),)), "component 'lora.speech' taken"),
    ],
)  # fmt: skip
def test_what_is_taken_or_unknown_registers_nothing(
    untouched: list[object], declared: Modality, told: str
) -> None:
    with pytest.raises(ValueError, match=r"must have names of its own, .* · found .* · rename") as caught:
        register_modality(declared)
    assert told in str(caught.value)
    assert everything() == untouched


def test_all_that_is_wrong_is_told_at_once(untouched: list[object]) -> None:
    kind = RadarKind("image", extensions=("png", "wav"), slot_token="<|endoftext11|>")
    modes = (Mode("vision", ("image",), "visoin"),)
    with pytest.raises(ValueError) as caught:
        register_modality(Modality(kind, (part("audio_encoder"),), modes, "image"))  # type: ignore[arg-type]
    for told in (
        *(
            "name 'image' taken",
            "extension 'png' taken",
            "extension 'wav' taken",
            "slot token <|endoftext11|>",
        ),
        *(
            "component 'audio_encoder' taken",
            "mode 'vision' taken",
            "media ['image'] taken",
            "adapter 'visoin'",
        ),
    ):
        assert told in str(caught.value)


def test_a_second_declaration_of_the_same_is_refused(declare: Callable[[Modality], None]) -> None:
    declare(modality())
    known = everything()
    with pytest.raises(ValueError, match=r"name 'radar' taken, .* component 'radar_encoder' taken"):
        register_modality(modality())
    assert everything() == known


def test_a_mode_of_two_modalities_goes_with_either(declare: Callable[[Modality], None]) -> None:
    declare(modality())
    sonar = RadarKind("sonar", extensions=("sonar",), slot_token="<|endofprompt|>")
    both = (Mode("sonar", ("sonar",), None), Mode("sonar_radar", ("radar", "sonar"), "radar"))
    declared = Modality(sonar, (), both, None)  # type: ignore[arg-type]
    register_modality(declared)
    assert mode_of(["sonar", "radar"]) == "sonar_radar"
    unregister_modality("sonar")
    with pytest.raises(SampleError, match="media of a sample must be one of"):
        mode_of(["sonar", "radar"])
    assert mode_of(["radar"]) == "radar"


def test_a_worker_that_starts_from_nothing_learns_kinds_and_modes(untouched: list[object]) -> None:
    register_modality(modality())
    carried = RegisteredKinds.here()
    unregister_modality("radar")
    carried.register_missing()
    carried.register_missing()
    assert mode_of(["radar", "audio"]) == "radar_speech" and find_media_kind("radar") == RadarKind()
    forget_kind("radar")
    remove_media_kind("radar")


def test_the_built_in_modalities_hold_what_a_declaration_must() -> None:
    for kind in media_kinds():
        assert find_mode_of([kind.name]) is not None and media_components(kind.name)
        assert f"lora.{adapter_of_kind(kind.name)}" in COMPONENT_NAMES
    for mode in known_modes():
        assert {*mode.kinds} <= {kind.name for kind in media_kinds()}
        assert mode.adapter is None or f"lora.{mode.adapter}" in COMPONENT_NAMES
    assert FRESH not in COMPONENT_NAMES
