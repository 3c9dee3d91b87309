"""Conformer block of the audio encoder, named as Phi4MultimodalAudioConformerEncoderLayer names its parts.

Shape suffixes: W windows, T tokens of the longest one, D model dimension, H heads, K head dimension.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phi4train.model.shapes import AudioShape


class AudioMlp(nn.Module):
    """Pre-norm feed-forward layer gated by its second half."""

    def __init__(self, shape: AudioShape) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(shape.hidden_dim, eps=shape.norm_eps)
        self.gate_up_proj = nn.Linear(shape.hidden_dim, 2 * shape.intermediate_dim)
        self.down_proj = nn.Linear(shape.intermediate_dim, shape.hidden_dim)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, hidden_WTD: Tensor) -> Tensor:
        """Same shape as its input."""
        # up before gate, despite the name: the language model's MLP has them the other way round
        up, gate = self.gate_up_proj(self.layer_norm(hidden_WTD)).chunk(2, dim=-1)
        output: Tensor = self.dropout(self.down_proj(self.dropout(up * F.silu(gate))))
        return output


class AudioAttention(nn.Module):
    """Bidirectional multi-head attention among the tokens of one window."""

    def __init__(self, shape: AudioShape) -> None:
        super().__init__()
        self.num_heads = shape.num_heads
        self.dropout = shape.dropout
        self.q_proj = nn.Linear(shape.hidden_dim, shape.hidden_dim)
        self.k_proj = nn.Linear(shape.hidden_dim, shape.hidden_dim)
        self.v_proj = nn.Linear(shape.hidden_dim, shape.hidden_dim)
        self.o_proj = nn.Linear(shape.hidden_dim, shape.hidden_dim)

    def forward(self, hidden_WTD: Tensor, bias_WHTT: Tensor) -> Tensor:
        """`bias_WHTT` is added to the logits; its first dimension may be 1."""
        W, T, D = hidden_WTD.shape
        query_WHTK, key_WHTK, value_WHTK = (
            projection(hidden_WTD).view(W, T, self.num_heads, -1).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended_WHTK = F.scaled_dot_product_attention(
            query_WHTK,
            key_WHTK,
            value_WHTK,
            attn_mask=bias_WHTT,
            dropout_p=self.dropout if self.training else 0.0,
        )
        output: Tensor = self.o_proj(attended_WHTK.transpose(1, 2).reshape(W, T, D))
        return output


class GatedPointwise(nn.Module):
    """Gated linear unit over channels, with the learned offsets of the released weights."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.ext_pw_conv_1d = nn.Conv1d(dim, 2 * dim, 1)
        self.b1 = nn.Parameter(torch.zeros(1, dim, 1))
        self.b2 = nn.Parameter(torch.zeros(1, dim, 1))

    def forward(self, hidden_WTD: Tensor) -> Tensor:
        """Same shape as its input."""
        value, gate = _pointwise(self.ext_pw_conv_1d, hidden_WTD).chunk(2, dim=-1)
        return (value + self.b1.view(-1)) * F.silu(gate + self.b2.view(-1))


class CausalSeparableConv(nn.Module):
    """Depthwise convolution over the tokens up to and including the current one, then a pointwise one."""

    def __init__(self, dim: int, kernel_size: int) -> None:
        super().__init__()
        self.dw_conv = nn.Conv1d(dim, dim, kernel_size, groups=dim)
        self.pw_conv = nn.Conv1d(dim, dim, 1)

    def forward(self, hidden_WTD: Tensor) -> Tensor:
        """Same shape as its input."""
        past_WDT = F.pad(hidden_WTD.transpose(1, 2), (self.dw_conv.kernel_size[0] - 1, 0))
        return _pointwise(self.pw_conv, self.dw_conv(past_WDT).transpose(1, 2))


class AudioConvolution(nn.Module):
    """Pre-norm convolution module of a conformer block; it has no batch norm."""

    def __init__(self, shape: AudioShape) -> None:
        super().__init__()
        self.layer_norm = nn.LayerNorm(shape.hidden_dim, eps=shape.norm_eps)
        self.glu = GatedPointwise(shape.hidden_dim)
        self.dw_sep_conv_1d = CausalSeparableConv(shape.hidden_dim, shape.conv_kernel_size)
        self.ext_pw_conv_1d = nn.Conv1d(shape.hidden_dim, shape.hidden_dim, 1)
        self.dropout = nn.Dropout(shape.dropout)

    def forward(self, hidden_WTD: Tensor) -> Tensor:
        """Same shape as its input."""
        convolved_WTD = F.silu(self.dw_sep_conv_1d(self.glu(self.layer_norm(hidden_WTD))))
        output: Tensor = self.dropout(_pointwise(self.ext_pw_conv_1d, convolved_WTD))
        return output


def _pointwise(conv: nn.Conv1d, hidden_WTD: Tensor) -> Tensor:
    """A convolution of width 1 on tokens whose channels come last, without transposing them."""
    return F.linear(hidden_WTD, conv.weight.squeeze(-1), conv.bias)


class ConformerBlock(nn.Module):
    """Half a feed-forward layer, attention, convolution, half a feed-forward layer, norm.

    Source: Conformer, arXiv 2005.08100; transformers, Phi4MultimodalAudioConformerEncoderLayer.
    """

    def __init__(self, shape: AudioShape) -> None:
        super().__init__()
        self.feed_forward_in = AudioMlp(shape)
        self.self_attn = AudioAttention(shape)
        self.conv = AudioConvolution(shape)
        self.feed_forward_out = AudioMlp(shape)
        self.layer_norm_att = nn.LayerNorm(shape.hidden_dim, eps=shape.norm_eps)
        self.layer_norm = nn.LayerNorm(shape.hidden_dim, eps=shape.norm_eps)

    def forward(self, hidden_WTD: Tensor, bias_WHTT: Tensor) -> Tensor:
        """Same shape as its input."""
        hidden_WTD = hidden_WTD + 0.5 * self.feed_forward_in(hidden_WTD)
        hidden_WTD = hidden_WTD + self.self_attn(self.layer_norm_att(hidden_WTD), bias_WHTT)
        hidden_WTD = hidden_WTD + self.conv(hidden_WTD)
        hidden_WTD = hidden_WTD + 0.5 * self.feed_forward_out(hidden_WTD)
        output: Tensor = self.layer_norm(hidden_WTD)
        return output


class RelativeBias(nn.Module):
    """Learned attention bias of each signed distance from query to key, the only positions there are."""

    def __init__(self, shape: AudioShape) -> None:
        super().__init__()
        self.max_distance = shape.bias_max_distance
        self.bias_values = nn.Embedding(2 * shape.bias_max_distance, shape.num_heads)

    def forward(self, token_T: Tensor, padded_WT: Tensor | None) -> Tensor:
        """What attention adds to its logits: -inf for padded keys; None means that no window is padded.

        Shape (W, H, T, T), or (1, H, T, T) without padding.
        """
        distance_TT = (token_T[None, :] - token_T[:, None]).clamp(-self.max_distance, self.max_distance - 1)
        bias_1HTT: Tensor = self.bias_values(distance_TT + self.max_distance).permute(2, 0, 1)[None]
        if padded_WT is None:
            return bias_1HTT.contiguous()
        return bias_1HTT.masked_fill(padded_WT[:, None, None, :], -torch.inf)
