"""Names of components: built in or added, each once, with the sizes that a recipe may give."""

import pytest

from phi4train.model import component_names
from phi4train.model.component_names import (
    AUDIO_PROJECTOR_PREFIX,
    COMPONENT_NAMES,
    FRESH,
    LORA_PREFIX,
    add_component_name,
    known_components,
    known_sizes,
    size_of,
)


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component_names, "_SIZES_OF_ADDED", {})


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
    add_component_name("sensor_encoder", {})
    assert known_components() == (*COMPONENT_NAMES, "sensor_encoder")


def test_a_recipe_gives_a_size_and_else_it_has_its_default() -> None:
    add_component_name("sensor_encoder", {"hidden_dim": 64, "dropout": 0.1})
    add_component_name("sensor_projector", {"hidden_dim": 32})
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
