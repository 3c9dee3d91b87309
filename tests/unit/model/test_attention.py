from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from phi4train.model import attention
from phi4train.model.attention import PackedAttention, build_segments, group_by_length, uses_flash_attention
from phi4train.model.rope import build_rotary_table
from phi4train.model.shapes import LanguageModelShape, RopeShape

SHAPE = LanguageModelShape(61, 64, 48, 2, 4, 2, rope=RopeShape(short_factor=[1.0] * 6, long_factor=[2.0] * 6))
CPU = torch.device("cpu")
MIXTURES = [(7,), (5, 5, 5), (1, 30, 2, 29, 300), (3, 1, 4, 1, 5, 9, 2, 6), tuple(range(1, 40))]


def _packed(lengths: Sequence[int]) -> PackedAttention:
    positions = torch.cat([torch.arange(length) for length in lengths])
    table = build_rotary_table(SHAPE, positions, lengths, lengths)
    return PackedAttention(build_segments(lengths, CPU), table, SHAPE.num_heads, SHAPE.num_kv_heads)


def _dense(qkv_TXK: Tensor, lengths: Sequence[int]) -> Tensor:
    """The same attention with an explicit block-diagonal causal mask over all pairs."""
    query, key, value = torch.split(qkv_TXK, [4, 2, 2], dim=1)
    key, value = key.repeat_interleave(2, dim=1), value.repeat_interleave(2, dim=1)
    scores = torch.einsum("thk,shk->hts", query, key) / qkv_TXK.shape[-1] ** 0.5
    sample = torch.repeat_interleave(torch.tensor(lengths))
    rows = torch.arange(len(sample))
    allowed = (sample[:, None] == sample) & (rows[:, None] >= rows)
    return torch.einsum("hts,shk->thk", scores.masked_fill(~allowed, -torch.inf).softmax(-1), value)


@pytest.mark.parametrize("lengths", MIXTURES)
def test_output_and_gradient_equal_masked_attention_over_all_pairs(lengths: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    qkv = torch.randn(sum(lengths), 8, 16, generator=generator, requires_grad=True)
    upstream = torch.randn(sum(lengths), 4, 16, generator=generator)
    ours, expected = _packed(lengths).attend_rotated(qkv), _dense(qkv, lengths)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)
    (our_gradient,) = torch.autograd.grad(ours, [qkv], upstream)
    (expected_gradient,) = torch.autograd.grad(expected, [qkv], upstream)
    torch.testing.assert_close(our_gradient, expected_gradient, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("lengths", MIXTURES)
def test_groups_hold_every_sample_once_and_waste_little(lengths: tuple[int, ...]) -> None:
    groups = group_by_length(lengths)
    assert sorted(sample for group in groups for sample in group) == list(range(len(lengths)))
    padded = sum(len(group) * max(lengths[sample] for sample in group) for group in groups)
    assert padded <= 2 * sum(lengths) + attention.GROUP_OVERHEAD_TOKENS * len(groups)


def test_work_grows_with_the_samples_and_not_with_the_square_of_the_pack() -> None:
    segments = build_segments((40, 41, 39, 2000) * 10, CPU)
    scores = sum(samples * length**2 for samples, length in segments.groups)
    assert scores < 1.1 * 10 * (40**2 + 41**2 + 39**2 + 2000**2)


def test_equally_long_samples_are_not_copied() -> None:
    assert build_segments((9,), CPU).padding is None
    assert build_segments((5, 5, 5), CPU).padding is None
    assert build_segments((5, 6), CPU).padding is not None


@pytest.mark.parametrize(
    "device, dtype, is_installed, expected",
    [
        ("cuda", torch.bfloat16, True, True),
        ("cuda", torch.float32, True, False),
        ("cuda", torch.float16, False, False),
        ("cpu", torch.bfloat16, True, False),
    ],
)
def test_flash_attention_is_used_on_a_gpu_in_half_precision_if_installed(
    monkeypatch: pytest.MonkeyPatch, device: str, dtype: torch.dtype, is_installed: bool, expected: bool
) -> None:
    monkeypatch.setattr(attention, "_has_flash_attention", lambda: is_installed)
    tensor: Any = SimpleNamespace(device=torch.device(device), dtype=dtype)
    assert uses_flash_attention(tensor) is expected


def test_flash_attention_receives_the_samples_boundaries(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []

    def flash(query: Tensor, key: Tensor, value: Tensor, *rest: Any, causal: bool) -> Tensor:
        calls.append((query.shape, key.shape, value.shape, *rest, causal))
        return query

    monkeypatch.setattr(attention, "uses_flash_attention", lambda x: True)
    monkeypatch.setattr(
        attention, "import_module", lambda name: SimpleNamespace(flash_attn_varlen_func=flash)
    )
    qkv = torch.randn(12, 8, 16)
    assert torch.equal(_packed((3, 7, 2)).attend_rotated(qkv), qkv[:, :4])
    query, key, value, bounds, same_bounds, longest, same_longest, causal = calls[0]
    assert (query, key, value) == ((12, 4, 16), (12, 2, 16), (12, 2, 16))
    assert bounds.tolist() == same_bounds.tolist() == [0, 3, 10, 12]
    assert bounds.dtype == torch.int32
    assert (longest, same_longest, causal) == (7, 7, True)
