import math

import pytest
import torch
from torch import Tensor

from phi4train.model.rope import attention_scaling, build_rotary_table, rotate, uses_long_factor
from phi4train.model.shapes import LanguageModelShape, RopeShape

SHAPE = LanguageModelShape(61, 64, 48, 2, 4, 2, rope=RopeShape(short_factor=[1.0] * 6, long_factor=[2.0] * 6))


def _rotated(heads: Tensor, position: int) -> Tensor:
    table = build_rotary_table(SHAPE, torch.full((1,), position), [position + 1], [1])
    return rotate(heads, table, heads.shape[1])


def test_the_released_models_scale_by_1_19() -> None:
    assert attention_scaling(RopeShape()) == pytest.approx(1.1902380714)
    assert attention_scaling(RopeShape(max_context_tokens=4096)) == 1.0


def test_the_long_factors_begin_one_token_after_the_original_context() -> None:
    assert not uses_long_factor(RopeShape(), 4096)
    assert uses_long_factor(RopeShape(), 4097)


def test_the_released_shape_rotates_96_of_128_dimensions() -> None:
    released = LanguageModelShape()
    table = build_rotary_table(released, torch.arange(3), [3], [3])
    heads = torch.randn(3, 2, 128)
    rotated = rotate(heads, table, 1)
    assert table.cos_T1R.shape == (3, 1, 48)
    assert torch.equal(rotated[:, 0, 96:], heads[:, 0, 96:])
    assert torch.equal(rotated[:, 1], heads[:, 1])
    torch.testing.assert_close(rotated[0, 0, :96], heads[0, 0, :96] * attention_scaling(released.rope))


def test_scores_depend_on_the_distance_alone() -> None:
    query, key = torch.randn(2, 1, 1, 16, generator=torch.Generator().manual_seed(0))
    near = (_rotated(query, 7) * _rotated(key, 3)).sum()
    far = (_rotated(query, 107) * _rotated(key, 103)).sum()
    torch.testing.assert_close(near, far, atol=1e-4, rtol=1e-4)


def test_factors_are_chosen_by_the_length_of_each_sample() -> None:
    original = SHAPE.rope.original_context_tokens
    position_ids = torch.tensor([0, 5, 0, 5])
    table = build_rotary_table(SHAPE, position_ids, [original, original + 1], [2, 2])
    frequencies = 1e4 ** -(torch.arange(0, 12, 2) / 12)
    scaling = attention_scaling(SHAPE.rope)
    torch.testing.assert_close(table.cos_T1R[1, 0], (5 * frequencies).cos() * scaling)
    torch.testing.assert_close(table.cos_T1R[3, 0], (5 * frequencies / 2).cos() * scaling)


def test_the_gradient_of_the_rotation_is_exact() -> None:
    table = build_rotary_table(SHAPE, torch.arange(3), [3], [3])
    double = type(table)(table.cos_T1R.double(), table.sin_T1R.double())
    heads = torch.randn(3, 8, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: rotate(x, double, 6), [heads])


def test_bfloat16_stays_bfloat16() -> None:
    table = build_rotary_table(SHAPE, torch.arange(3), [3], [3])
    assert rotate(torch.randn(3, 8, 16, dtype=torch.bfloat16), table, 6).dtype == torch.bfloat16


def test_a_factor_list_of_another_length_is_refused() -> None:
    wrong = LanguageModelShape(
        61, 64, 48, 2, 4, 2, rope=RopeShape(short_factor=[1.0] * 5, long_factor=[1.0] * 6)
    )
    with pytest.raises(ValueError, match=r"rotary_dim / 2 = 6 values · found 5 · "):
        build_rotary_table(wrong, torch.arange(2), [2], [2])


def test_scaling_is_the_formula_of_the_paper() -> None:
    rope = RopeShape(original_context_tokens=64, max_context_tokens=256)
    assert attention_scaling(rope) == math.sqrt(1 + math.log(4) / math.log(64))
