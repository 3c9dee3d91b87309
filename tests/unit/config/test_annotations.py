"""What the schema says of a field is found through None, ranges and mappings."""

import dataclasses
from typing import Annotated, Any

import pytest

from phi4train.config.annotations import (
    all_keys,
    annotation_of,
    annotations_of,
    is_optional,
    ranges_of,
    required,
)
from phi4train.config.schema import Config, OptimizerConfig
from phi4train.ranges import Above, AtLeast

FORMS = [
    (int, False, []),
    (int | None, True, []),
    (Annotated[int, AtLeast(1)], False, [AtLeast(1)]),
    (Annotated[int, AtLeast(1)] | None, True, [AtLeast(1)]),
    (Annotated[int | None, Above(0), AtLeast(1)], True, [Above(0), AtLeast(1)]),
]


@pytest.mark.parametrize(("annotation", "may_be_none", "ranges"), FORMS)
def test_none_and_ranges_are_seen_in_either_order_and_leave_the_type(
    annotation: Any, may_be_none: bool, ranges: list[Any]
) -> None:
    assert required(annotation) is int
    assert is_optional(annotation) is may_be_none
    assert list(ranges_of(annotation)) == ranges


def test_every_key_of_the_schema_has_an_annotation_and_its_last_part_is_the_field() -> None:
    keys = all_keys()
    assert len(keys) == len(set(keys)) > len(dataclasses.fields(Config))
    assert all(annotation_of(key) is not None for key in keys)
    fields = {f"optimizer.{name}": of for name, of in annotations_of(OptimizerConfig).items()}
    assert {key: annotation_of(key) for key in fields} == fields


def test_names_in_a_mapping_may_hold_dots() -> None:
    multipliers = annotation_of("optimizer.lr_multipliers")
    assert annotation_of("optimizer.lr_multipliers.lora.vision") == required(multipliers)
    assert annotation_of("init.lora.vision") is not None
    assert annotation_of("model.lora.vision.r") is not None


@pytest.mark.parametrize("key", ["nothing", "seed.deeper", "optimizer.nothing", "model.lora.vision.nothing"])
def test_what_is_no_key_has_none(key: str) -> None:
    assert annotation_of(key) is None
