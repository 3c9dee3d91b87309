"""Names of components: built in or added, each once, with the sizes that a recipe may give."""

import pytest

from phi4train.model import component_names
from phi4train.model.component_names import (
    AUDIO_PROJECTOR_PREFIX,
    COMPONENT_NAMES,
    FRESH,
    LORA_PREFIX,
    ComponentFacts,
    add_component_facts,
    family_of,
    known_components,
    known_sizes,
    layered_components,
    media_components,
    size_of,
)


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component_names, "_FACTS", dict(component_names._FACTS))


def test_every_name_is_there_once_and_none_reads_as_fresh() -> None:
    assert len(set(COMPONENT_NAMES)) == len(COMPONENT_NAMES)
    assert FRESH not in COMPONENT_NAMES
    assert not any("/" in name or " " in name for name in COMPONENT_NAMES), "they are parts of file names"


def test_a_name_with_a_prefix_is_one_of_its_kind() -> None:
    constants = {name: value for name, value in vars(component_names).items() if name.isupper()}
    for name, value in constants.items():
        if name.startswith("LORA_") and value != LORA_PREFIX:
            assert value.startswith(LORA_PREFIX)
        if name.startswith("AUDIO_PROJECTOR_") and value != AUDIO_PROJECTOR_PREFIX:
            assert value.startswith(AUDIO_PROJECTOR_PREFIX)


def test_an_added_component_is_known_behind_the_built_in_ones() -> None:
    assert known_components() == COMPONENT_NAMES
    add_component_facts("sensor_encoder", ComponentFacts(has_layers=True, media="sensor"))
    assert known_components() == (*COMPONENT_NAMES, "sensor_encoder")
    assert "sensor_encoder" in layered_components() and media_components("sensor") == ("sensor_encoder",)
    assert {*media_components("image"), *media_components("audio"), "sensor_encoder"} == {*media_components()}


def test_components_of_one_family_may_be_copied() -> None:
    assert family_of("lora.vision") == family_of("lora.speech") != family_of("vision_encoder")
    add_component_facts("eye", ComponentFacts(family="vision_encoder"))
    assert family_of("eye") == family_of("vision_encoder")


def test_a_recipe_gives_a_size_and_else_it_has_its_default() -> None:
    add_component_facts("sensor_encoder", ComponentFacts(sizes={"hidden_dim": 64, "dropout": 0.1}))
    add_component_facts("sensor_projector", ComponentFacts(sizes={"hidden_dim": 32}))
    assert known_sizes() == {
        "sensor_encoder.hidden_dim": 64,
        "sensor_encoder.dropout": 0.1,
        "sensor_projector.hidden_dim": 32,
    }
    extra = {"sensor_encoder.hidden_dim": 128.0, "sensor_encoder.dropout": 0.0}
    assert size_of("sensor_encoder.hidden_dim", extra) == 128
    assert size_of("sensor_encoder.dropout", extra) == 0, "zero is a size that is given"
    assert size_of("sensor_projector.hidden_dim", extra) == 32
    with pytest.raises(KeyError):
        size_of("sensor_encoder.depth", {"sensor_encoder.depth": 3})
