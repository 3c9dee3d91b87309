"""Causal attention over samples laid end to end, without a mask and without work between samples.

Samples of similar length form a group that is padded on the right and attended in one call: under a causal
mask no valid query sees a key to its right, so padding needs no mask. A batch of equally long samples is only
reshaped. On a GPU with flash-attn its variable-length kernel runs instead.

What a sample gets depends on its own tokens alone, but for rounding: the order in which matrix products and
attention sum up follows from the lengths of all samples of the batch, from the number of threads, and from
whether gradients are wanted. With all three the same it is the same to the last bit; else it moves by about
5e-6 in float32.

Shape suffixes: T tokens of the batch, P rows after padding, X query + key + value heads, H query heads,
K head dimension, B samples of a group, L their padded length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention

from phi4train.model.rope import RotaryTable, rotate

GROUP_OVERHEAD_TOKENS = 96
"""Padding rows that a group may hold before another attention call is preferred; an estimate, not tuned."""


class Attention(Protocol):
    """How the layers of one forward pass attend: over a packed batch, or with a key-value cache."""

    def attend(self, layer: int, qkv_TXK: Tensor) -> Tensor:
        """The attention output (T, H, K) of layer number `layer`, from its projection before rotation."""


@dataclass(frozen=True)
class Padding:
    """Moves rows between the flat axis and the padded groups.

    Args:
        source_P: the flat row that each padded row copies; a padding row repeats the last of its sample.
        target_T: the padded row of each flat row.
    """

    source_P: Tensor
    target_T: Tensor


@dataclass(frozen=True)
class Segments:
    """The samples of a batch, arranged for attention.

    Args:
        lengths: tokens of each sample.
        groups: (samples, padded length) of each group, in the order of the padded rows.
        padding: None when the flat rows already are the padded rows.
        boundaries: the flat row where each sample starts, and T; int32, (samples + 1,).
    """

    lengths: tuple[int, ...]
    groups: tuple[tuple[int, int], ...]
    padding: Padding | None
    boundaries: Tensor


def build_segments(lengths: Sequence[int], device: torch.device) -> Segments:
    """Arranges samples of `lengths` tokens each (all positive), laid end to end."""
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    boundaries = torch.tensor(starts, dtype=torch.int32, device=device)
    groups = group_by_length(lengths)
    shapes = tuple((len(group), lengths[group[0]]) for group in groups)
    flat_already = len(groups) <= 1 and len(set(lengths)) <= 1
    padding = None if flat_already else _build_padding(groups, lengths, starts, device)
    return Segments(tuple(lengths), shapes, padding, boundaries)


def group_by_length(lengths: Sequence[int]) -> list[list[int]]:
    """Groups of sample indices, longest first, so that padding costs less than more attention calls would."""
    groups: list[list[int]] = []
    wasted = 0
    for sample in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        missing = lengths[groups[-1][0]] - lengths[sample] if groups else 0
        if not groups or wasted + missing > max(GROUP_OVERHEAD_TOKENS, lengths[groups[-1][0]] // 4):
            groups.append([])
            wasted = missing = 0
        groups[-1].append(sample)
        wasted += missing
    return groups


def _build_padding(
    groups: Sequence[Sequence[int]], lengths: Sequence[int], starts: Sequence[int], device: torch.device
) -> Padding:
    order = torch.tensor([sample for group in groups for sample in group])
    padded = torch.tensor([lengths[group[0]] for group in groups for _ in group])
    length = torch.tensor(lengths)[order]
    first_row = torch.tensor(starts)[order]
    offset_P = torch.arange(int(padded.sum())) - (padded.cumsum(0) - padded).repeat_interleave(padded)
    length_P = length.repeat_interleave(padded)
    source_P = first_row.repeat_interleave(padded) + torch.minimum(offset_P, length_P - 1)
    valid = offset_P < length_P
    target_T = torch.empty(starts[-1], dtype=torch.int64)
    target_T[source_P[valid]] = valid.nonzero().squeeze(1)
    return Padding(source_P.to(device), target_T.to(device))


@dataclass(frozen=True)
class PackedAttention:
    """Attends over a packed batch; the same for all layers.

    Args:
        segments: the samples.
        rotary: the tokens' rotations.
        num_heads: query heads H.
        num_kv_heads: key heads, and value heads.
    """

    segments: Segments
    rotary: RotaryTable
    num_heads: int
    num_kv_heads: int

    def attend(self, layer: int, qkv_TXK: Tensor) -> Tensor:
        """See Attention; `layer` is not needed."""
        return self.attend_rotated(rotate(qkv_TXK, self.rotary, self.num_heads + self.num_kv_heads))

    def attend_rotated(self, qkv_TXK: Tensor) -> Tensor:
        """The attention output (T, H, K) from a rotated projection."""
        if uses_flash_attention(qkv_TXK):
            return self._attend_flash(qkv_TXK)
        padding = self.segments.padding
        qkv_PXK = qkv_TXK if padding is None else _Gather.apply(qkv_TXK, padding.source_P, padding.target_T)
        rows = [samples * length for samples, length in self.segments.groups]
        out = [
            self._attend_group(part.view(*shape, *part.shape[1:]))
            for part, shape in zip(torch.split(qkv_PXK, rows), self.segments.groups, strict=True)
        ]
        if padding is None:
            return out[0]
        gathered: Tensor = _Gather.apply(torch.cat(out), padding.target_T, padding.source_P)
        return gathered

    def _attend_group(self, qkv_BLXK: Tensor) -> Tensor:
        heads = [self.num_heads, self.num_kv_heads, self.num_kv_heads]
        query, key, value = (part.transpose(1, 2) for part in torch.split(qkv_BLXK, heads, dim=2))
        out = scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        return out.transpose(1, 2).flatten(0, 1)

    def _attend_flash(self, qkv_TXK: Tensor) -> Tensor:
        heads = [self.num_heads, self.num_kv_heads, self.num_kv_heads]
        query, key, value = torch.split(qkv_TXK, heads, dim=1)
        bounds, longest = self.segments.boundaries, max(self.segments.lengths)
        flash_attention = import_module("flash_attn").flash_attn_varlen_func
        out: Tensor = flash_attention(query, key, value, bounds, bounds, longest, longest, causal=True)
        return out


def uses_flash_attention(x: Tensor) -> bool:
    """Whether flash-attn's kernel can attend over `x`: on a GPU, in half precision, if installed."""
    return x.device.type == "cuda" and x.dtype in (torch.float16, torch.bfloat16) and _has_flash_attention()


@cache
def _has_flash_attention() -> bool:
    return find_spec("flash_attn") is not None


class _Gather(torch.autograd.Function):
    """Selects rows whose inverse selection is known, so that the backward pass is a selection too.

    From flat to padded rows, padding rows pass on no gradient (no valid query sees them and their own output
    is dropped). From padded to flat rows, they must be given a zero gradient.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, inverse: Tensor) -> Tensor:
        ctx.save_for_backward(index, inverse)
        return rows.index_select(0, index)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        index, inverse = ctx.saved_tensors
        if len(index) >= len(inverse):
            return grad.index_select(0, inverse), None, None
        return grad.new_zeros(len(inverse), *grad.shape[1:]).index_copy_(0, index, grad), None, None
