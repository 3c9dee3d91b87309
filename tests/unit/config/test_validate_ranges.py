"""Numbers and the ranges beside their fields, wherever in the schema they stand."""

import dataclasses
import math
from dataclasses import replace
from typing import Annotated

import pytest

from phi4train.config.annotations import all_keys, annotation_of, is_optional, ranges_of, required
from phi4train.config.schema import BudgetConfig, Config, DataConfig, LrLawConfig, OptimizerConfig
from phi4train.config.validate_ranges import range_problems
from phi4train.model.shapes import LanguageModelShape, LoraShape, ModelShape, RopeShape

ANY_NUMBER = {
    "model.audio.num_mels",  # validate.py asks for one value
    *("model.language_model.rope.partial_rotary_factor", "model.language_model.rope.max_context_tokens"),
    "optimizer.lr_law.exponent",
}
"""Keys of numbers whose meaning bounds them in another way, or not at all."""

BAD = {
    "seed": Config(seed=-1),
    "budget.tokens": Config(budget=BudgetConfig(tokens=0)),
    "optimizer.lr": Config(optimizer=OptimizerConfig(lr=math.nan)),
    "optimizer.lr_law.B": Config(optimizer=OptimizerConfig(lr_law=LrLawConfig())),
    "optimizer.lr_multipliers.lora.vision": Config(
        optimizer=OptimizerConfig(lr_multipliers={"lora.vision": -1})
    ),
    "data.video_fps": Config(data=DataConfig(video_fps=0.0)),
    "data.max_bad_fraction": Config(data=DataConfig(max_bad_fraction=math.nan)),
    "model.lora.vision.dropout": Config(model=ModelShape(lora={"vision": LoraShape(dropout=1.0)})),
    "model.language_model.rope.short_factor": Config(
        model=ModelShape(language_model=LanguageModelShape(rope=RopeShape(short_factor=[1.0, 0.0])))
    ),
}


@pytest.mark.parametrize("key", BAD)
def test_a_number_out_of_its_range_is_told_with_the_key_as_typed(key: str) -> None:
    (problem,) = range_problems(BAD[key])
    assert problem.startswith(f"{key} must be ")


def test_what_is_absent_has_no_range() -> None:
    assert list(range_problems(Config())) == []


def test_several_numbers_are_told_at_once() -> None:
    config = replace(Config(seed=-1), data=DataConfig(max_crops=0, max_frames=0))
    assert [problem.split(" ")[0] for problem in range_problems(config)] == [
        "seed",
        "data.max_crops",
        "data.max_frames",
    ]


def test_every_number_of_the_schema_has_a_range() -> None:
    numbers = {key for key in all_keys() if required(annotation_of(key)) in (int, float)}
    unbounded = {key for key in numbers if not list(ranges_of(annotation_of(key)))}
    assert unbounded == ANY_NUMBER


def test_annotations_are_read_through_ranges_and_none_in_either_order() -> None:
    for annotation in (Annotated[int, "note"] | None, Annotated[int | None, "note"]):
        assert is_optional(annotation) and required(annotation) is int
    assert not is_optional(Annotated[int, "note"])
    assert dataclasses.is_dataclass(required(annotation_of("optimizer.lr_law")))
