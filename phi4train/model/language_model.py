"""The decoder-only language model of Phi-4-mini, on a flat token axis without a batch dimension.

Parameter names and numerics are those of transformers' `Phi3Model`. Adapters and packing stay outside: every
layer hands `routing` to its linears and asks `attention` to attend.

Shape suffixes: T tokens, D model dimension, X query + key + value heads, K head dimension, I MLP dimension.
Source: Phi-4-Mini technical report, arXiv 2503.01743, section 2; transformers, models/phi3/modeling_phi3.py.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from phi4train.model.attention import Attention
from phi4train.model.routing import BatchRouting
from phi4train.model.shapes import LanguageModelShape


class RoutedLinear(nn.Linear):
    """A linear map without bias that accepts a routing, so that bare and adapted layers are called alike."""

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)

    def forward(self, x_TD: Tensor, routing: BatchRouting) -> Tensor:  # type: ignore[override]
        """The mapped rows; `routing` matters only once an adapter wraps this layer."""
        return F.linear(x_TD, self.weight)


class RMSNorm(nn.Module):
    """Root-mean-square normalisation with a learned scale."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x_TD: Tensor) -> Tensor:
        """The normalised rows, in the dtype of `x_TD`."""
        return F.rms_norm(x_TD, self.weight.shape, self.weight, self.eps)


class SelfAttention(nn.Module):
    """Grouped-query attention with one fused projection for queries, keys and values."""

    def __init__(self, shape: LanguageModelShape, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.head_dim = shape.head_dim
        num_qkv_heads = shape.num_heads + 2 * shape.num_kv_heads
        self.qkv_proj = RoutedLinear(shape.hidden_dim, num_qkv_heads * shape.head_dim)
        self.o_proj = RoutedLinear(shape.num_heads * shape.head_dim, shape.hidden_dim)

    def forward(self, hidden_TD: Tensor, attention: Attention, routing: BatchRouting) -> Tensor:
        """The attended and projected rows."""
        qkv_TXK = self.qkv_proj(hidden_TD, routing).unflatten(-1, (-1, self.head_dim))
        projected: Tensor = self.o_proj(attention.attend(self.layer, qkv_TXK).flatten(1), routing)
        return projected


class Mlp(nn.Module):
    """SwiGLU with one fused projection, gate rows first."""

    def __init__(self, shape: LanguageModelShape) -> None:
        super().__init__()
        self.gate_up_proj = RoutedLinear(shape.hidden_dim, 2 * shape.intermediate_dim)
        self.down_proj = RoutedLinear(shape.intermediate_dim, shape.hidden_dim)

    def forward(self, hidden_TD: Tensor, routing: BatchRouting) -> Tensor:
        """The transformed rows."""
        gate_TI, up_TI = self.gate_up_proj(hidden_TD, routing).chunk(2, dim=-1)
        down: Tensor = self.down_proj(F.silu(gate_TI) * up_TI, routing)
        return down


class DecoderLayer(nn.Module):
    """Pre-norm attention and MLP, each with a residual connection."""

    def __init__(self, shape: LanguageModelShape, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(shape.hidden_dim, shape.norm_eps)
        self.self_attn = SelfAttention(shape, layer)
        self.post_attention_layernorm = RMSNorm(shape.hidden_dim, shape.norm_eps)
        self.mlp = Mlp(shape)

    def forward(self, hidden_TD: Tensor, attention: Attention, routing: BatchRouting) -> Tensor:
        """The rows after this layer."""
        hidden_TD = hidden_TD + self.self_attn(self.input_layernorm(hidden_TD), attention, routing)
        residual: Tensor = self.mlp(self.post_attention_layernorm(hidden_TD), routing)
        return hidden_TD + residual


class LanguageModel(nn.Module):
    """Embedding, decoder layers and final norm; the output head is the embedding matrix."""

    def __init__(self, shape: LanguageModelShape) -> None:
        super().__init__()
        self.shape = shape
        self.activation_checkpointing = False
        self.embed_tokens = nn.Embedding(shape.vocab_size, shape.hidden_dim)
        self.layers = nn.ModuleList(DecoderLayer(shape, layer) for layer in range(shape.num_layers))
        self.norm = RMSNorm(shape.hidden_dim, shape.norm_eps)

    def forward(self, hidden_TD: Tensor, attention: Attention, routing: BatchRouting) -> Tensor:
        """The rows after the final norm.

        Args:
            hidden_TD: token embeddings, media tokens already in place.
            attention: how this pass attends; knows the samples' boundaries and positions.
            routing: which rows use which adapter.
        """
        recompute = self.activation_checkpointing and torch.is_grad_enabled()
        for layer in self.layers:
            if recompute:
                hidden_TD = checkpoint(layer, hidden_TD, attention, routing, use_reentrant=False)
            else:
                hidden_TD = layer(hidden_TD, attention, routing)
        normed: Tensor = self.norm(hidden_TD)
        return normed
