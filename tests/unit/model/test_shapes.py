"""Sizes: the defaults are the released ones, and what follows from them is what a model has."""

import subprocess
import sys

import pytest

from phi4train.model.components import build_model
from phi4train.model.shapes import (
    PHI4_LONG_FACTOR,
    AudioShape,
    LanguageModelShape,
    ModelShape,
    RopeShape,
    VisionShape,
)

SMALL = RopeShape(short_factor=[1.0] * 3, long_factor=[1.0] * 3)
SHAPES = (
    LanguageModelShape(64, 32, 48, 2, 4, 2, rope=SMALL),
    LanguageModelShape(61, 32, 40, 3, 4, 4, rope=SMALL),
    LanguageModelShape(100, 64, 96, 1, 8, 1, rope=SMALL),
)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_number_of_parameters_is_that_of_a_built_model(shape: LanguageModelShape) -> None:
    model = build_model(ModelShape(shape), ("language_model",), seed=0, device="meta")
    assert sum(parameter.numel() for parameter in model.parameters()) == shape.num_parameters


def test_the_released_sizes_divide_as_they_must() -> None:
    language_model, vision, audio = LanguageModelShape(), VisionShape(), AudioShape()
    assert language_model.head_dim * language_model.num_heads == language_model.hidden_dim
    assert language_model.num_heads % language_model.num_kv_heads == 0
    assert vision.crop_size % vision.patch_size == 0 and vision.crop_size // vision.patch_size % 2 == 0
    assert vision.hidden_dim % vision.num_heads == audio.hidden_dim % audio.num_heads == 0


def test_each_rotary_frequency_has_a_factor_and_longer_waves_are_stretched_more() -> None:
    shape = LanguageModelShape()
    assert shape.rotary_dim == 96
    assert len(shape.rope.short_factor) == len(shape.rope.long_factor) == shape.rotary_dim // 2
    assert list(PHI4_LONG_FACTOR) == sorted(PHI4_LONG_FACTOR) and PHI4_LONG_FACTOR[0] == 1


def test_shapes_share_no_list() -> None:
    one, two = ModelShape(), ModelShape()
    one.language_model.rope.long_factor[0] = 9.0
    one.lora["vision"].r = 1
    assert two == ModelShape() and PHI4_LONG_FACTOR[0] == 1


def test_the_configuration_can_nest_them_without_torch() -> None:
    code = "import sys, phi4train.model.shapes; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
