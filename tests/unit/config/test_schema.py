"""The schema: every section can be made from nothing, and what a machine decides is set apart."""

import dataclasses
from typing import get_type_hints

import pytest

from phi4train.config.schema import MACHINE_KEYS, Config

SECTIONS = {name: hint for name, hint in get_type_hints(Config).items() if dataclasses.is_dataclass(hint)}


def test_machine_keys_are_keys_and_none_is_named_twice() -> None:
    assert set(MACHINE_KEYS) <= {field.name for field in dataclasses.fields(Config)}
    assert len(set(MACHINE_KEYS)) == len(MACHINE_KEYS)


@pytest.mark.parametrize(
    "key", ["seed", "stage", "parents", "trainable", "init", "model", "data", "optimizer"]
)
def test_what_decides_what_is_learned_is_no_machine_key(key: str) -> None:
    assert key not in MACHINE_KEYS


def test_two_configurations_share_no_default() -> None:
    one, two = Config(), Config()
    assert one == two
    shared = [name for name in SECTIONS if getattr(one, name) is getattr(two, name)]
    assert shared == []
    one.parents.append("x")
    one.model.lora.clear()
    assert two.parents == [] and two.model.lora


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_every_section_has_a_default_for_each_key(section: type) -> None:
    missing = [
        field.name
        for field in dataclasses.fields(section)
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    assert missing == []
