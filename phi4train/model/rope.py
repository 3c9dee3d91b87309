"""Partial rotary position embedding with LongRoPE, its factors chosen for each sample by its own length.

Shape suffixes: T tokens, X query + key + value heads of the fused projection, K head dimension,
R half of the rotated dimensions of a head.
Source: transformers, modeling_rope_utils.py (`_compute_longrope_parameters`), models/phi3/modeling_phi3.py.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from phi4train.model.shapes import LanguageModelShape, RopeShape


@dataclass(frozen=True)
class RotaryTable:
    """Cosine and sine of every token's rotation, attention scaling included; float32, (T, 1, R)."""

    cos_T1R: Tensor
    sin_T1R: Tensor

    def select(self, rows: Tensor) -> "RotaryTable":
        """The table of the tokens `rows`, in that order."""
        return RotaryTable(self.cos_T1R.index_select(0, rows), self.sin_T1R.index_select(0, rows))


def attention_scaling(rope: RopeShape) -> float:
    """The factor on cosine and sine, the same at all lengths; 1.19024 for the released models."""
    ratio = rope.max_context_tokens / rope.original_context_tokens
    return math.sqrt(1 + math.log(ratio) / math.log(rope.original_context_tokens)) if ratio > 1 else 1.0


def uses_long_factor(rope: RopeShape, sample_length: int) -> bool:
    """Whether a sample of this many tokens is rotated by the long factors."""
    return sample_length > rope.original_context_tokens


def build_rotary_table(
    shape: LanguageModelShape,
    position_ids_T: Tensor,
    sample_lengths: Sequence[int],
    rows_per_sample: Sequence[int],
) -> RotaryTable:
    """The rotations of tokens at `position_ids_T`.

    Args:
        shape: sizes of the language model.
        position_ids_T: position inside its sample of each token, int64.
        sample_lengths: tokens of each sample, which choose between short and long factors.
        rows_per_sample: how many consecutive tokens of the T axis belong to each sample; equal to
            `sample_lengths` unless a part of each sample is held in a key-value cache.
    """
    device = position_ids_T.device
    positions_T1 = position_ids_T[:, None].to(torch.float32)
    short_R, long_R = (
        _inverse_frequencies(shape, factor).to(device)
        for factor in (shape.rope.short_factor, shape.rope.long_factor)
    )
    is_long = [uses_long_factor(shape.rope, length) for length in sample_lengths]
    if any(is_long):
        rows = torch.tensor(rows_per_sample)
        long_T1 = torch.tensor(is_long).repeat_interleave(rows)[:, None].to(device)
        angles_TR = positions_T1 * torch.where(long_T1, long_R, short_R)
    else:
        angles_TR = positions_T1 * short_R
    scaling = attention_scaling(shape.rope)
    return RotaryTable((angles_TR.cos() * scaling)[:, None], (angles_TR.sin() * scaling)[:, None])


def _inverse_frequencies(shape: LanguageModelShape, factor: Sequence[float]) -> Tensor:
    if len(factor) != shape.rotary_dim // 2:
        raise ValueError(
            f"model.language_model.rope: LongRoPE factors must hold rotary_dim / 2 = {shape.rotary_dim // 2} "
            f"values · found {len(factor)} · give one value per rotary frequency"
        )
    exponent_R = torch.arange(0, shape.rotary_dim, 2, dtype=torch.float32) / shape.rotary_dim
    return 1.0 / (torch.tensor(factor, dtype=torch.float32) * shape.rope.theta**exponent_R)


def rotate(qkv_TXK: Tensor, table: RotaryTable, num_rotated: int) -> Tensor:
    """A copy of `qkv_TXK` with its first `num_rotated` heads (queries and keys) rotated."""
    rotated: Tensor = _Rotate.apply(qkv_TXK, table.cos_T1R, table.sin_T1R, num_rotated)
    return rotated


class _Rotate(torch.autograd.Function):
    """The rotation is linear: its backward pass rotates by the opposite angle and needs no activation."""

    @staticmethod
    def forward(ctx: Any, qkv_TXK: Tensor, cos_T1R: Tensor, sin_T1R: Tensor, num_rotated: int) -> Tensor:
        ctx.save_for_backward(cos_T1R, sin_T1R)
        ctx.num_rotated = num_rotated
        return _rotated_copy(qkv_TXK, cos_T1R, sin_T1R, num_rotated)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_TXK: Tensor) -> tuple[Tensor, None, None, None]:
        cos_T1R, sin_T1R = ctx.saved_tensors
        return _rotated_copy(grad_TXK, cos_T1R, -sin_T1R, ctx.num_rotated), None, None, None


def _rotated_copy(x_TXK: Tensor, cos_T1R: Tensor, sin_T1R: Tensor, num_rotated: int) -> Tensor:
    half = cos_T1R.shape[-1]
    cos, sin = cos_T1R.to(x_TXK.dtype), sin_T1R.to(x_TXK.dtype)
    rotated = x_TXK.clone(memory_format=torch.contiguous_format)
    first, second = x_TXK[:, :num_rotated, :half], x_TXK[:, :num_rotated, half : 2 * half]
    rotated[:, :num_rotated, :half].mul_(cos).addcmul_(second, sin, value=-1)
    rotated[:, :num_rotated, half : 2 * half].mul_(cos).addcmul_(first, sin)
    return rotated
