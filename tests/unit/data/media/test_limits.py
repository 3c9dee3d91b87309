"""Limits travel to worker processes, and their defaults are those of the recipe."""

import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest

from phi4train.config.schema import DataConfig
from phi4train.data.media.limits import Limits
from tests.unit.data.small_shards import GEOMETRY

LIMITS = Limits(64, 10_000, GEOMETRY)


def test_what_is_not_said_is_as_in_a_recipe_that_does_not_say_it() -> None:
    recipe = DataConfig()
    defaults = {field.name for field in fields(Limits)} - {"context_tokens", "max_image_pixels", "geometry"}
    assert {name: getattr(LIMITS, name) for name in defaults} == {
        name: getattr(recipe, name) for name in defaults
    }


def test_limits_are_values_that_cannot_be_written_to() -> None:
    assert pickle.loads(pickle.dumps(LIMITS)) == LIMITS != replace(LIMITS, max_frames=1)
    assert len({LIMITS, replace(LIMITS), replace(LIMITS, video_fps=1.0)}) == 2
    with pytest.raises(FrozenInstanceError):
        LIMITS.context_tokens = 1  # type: ignore[misc]
