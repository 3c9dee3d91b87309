"""SigLIP-style encoder of square image crops, with the parameter names of Phi4MultimodalVisionModel.

Shape suffixes: C crops, S crop side in pixels, G patches per crop side, P = G * G patches, D model dimension,
H heads, K head dimension.
"""

from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from phi4train.model.shapes import VisionShape


class VisionEmbeddings(nn.Module):
    """Patch embedding plus a learned position: where a patch lies within the valid part of its crop."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, shape.hidden_dim, shape.patch_size, stride=shape.patch_size)
        self.position_embedding = nn.Embedding((shape.crop_size // shape.patch_size) ** 2, shape.hidden_dim)

    def forward(self, crops_C3SS: Tensor, patch_mask_CGG: Tensor) -> Tensor:
        """Embedded patches, shape (C, P, D)."""
        patches_CDGG: Tensor = self.patch_embedding(crops_C3SS.to(self.patch_embedding.weight.dtype))
        positions_CPD: Tensor = self.position_embedding(position_ids(patch_mask_CGG))
        return patches_CDGG.flatten(2).transpose(1, 2) + positions_CPD


def position_ids(patch_mask_CGG: Tensor) -> Tensor:
    """Position-table row of each patch, shape (C, P).

    The valid part of a crop is stretched over the whole table; masked patches take position 0. The arithmetic
    is float32 in the reference's order, so that buckets agree to the last patch.

    Source: transformers, Phi4MultimodalVisionEmbeddings.forward (after NaViT, arXiv 2307.06304).
    """
    G = patch_mask_CGG.shape[-1]
    rows_CG = _buckets(patch_mask_CGG[:, :, 0].sum(dim=1), G)
    columns_CG = _buckets(patch_mask_CGG[:, 0, :].sum(dim=1), G)
    ids_CGG = rows_CG[:, :, None] * G + columns_CG[:, None, :]
    return (ids_CGG * patch_mask_CGG).flatten(1)


def _buckets(num_valid_C: Tensor, G: int) -> Tensor:
    """Bucket of each of G indices when the first `num_valid_C` span the unit interval, shape (C, G)."""
    device = num_valid_C.device
    boundaries = torch.arange(1 / G, 1.0, 1 / G, device=device)
    fractions_CG = torch.arange(G, device=device, dtype=torch.float32) * (1.0 / num_valid_C)[:, None]
    return torch.bucketize(fractions_CG.clamp(max=1.0 - 1e-6), boundaries, right=True)


class VisionAttention(nn.Module):
    """Bidirectional multi-head attention among the patches of one crop."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.num_heads = shape.num_heads
        self.q_proj = nn.Linear(shape.hidden_dim, shape.hidden_dim)
        self.k_proj = nn.Linear(shape.hidden_dim, shape.hidden_dim)
        self.v_proj = nn.Linear(shape.hidden_dim, shape.hidden_dim)
        self.out_proj = nn.Linear(shape.hidden_dim, shape.hidden_dim)

    def forward(self, hidden_CPD: Tensor, mask_C11P: Tensor | None) -> Tensor:
        """Attends to the patches where `mask_C11P` is True; None means all."""
        C, P, D = hidden_CPD.shape
        query_CHPK, key_CHPK, value_CHPK = (
            projection(hidden_CPD).view(C, P, self.num_heads, D // self.num_heads).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended_CHPK = F.scaled_dot_product_attention(query_CHPK, key_CHPK, value_CHPK, attn_mask=mask_C11P)
        output: Tensor = self.out_proj(attended_CHPK.transpose(1, 2).reshape(C, P, D))
        return output


class VisionMlp(nn.Module):
    """Two linear layers with a tanh-approximated GELU between them."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.hidden_dim, shape.intermediate_dim)
        self.fc2 = nn.Linear(shape.intermediate_dim, shape.hidden_dim)

    def forward(self, hidden_CPD: Tensor) -> Tensor:
        """Same shape as its input."""
        output: Tensor = self.fc2(F.gelu(self.fc1(hidden_CPD), approximate="tanh"))
        return output


class VisionEncoderLayer(nn.Module):
    """Pre-norm transformer layer."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.layer_norm1 = nn.LayerNorm(shape.hidden_dim, eps=shape.norm_eps)
        self.self_attn = VisionAttention(shape)
        self.layer_norm2 = nn.LayerNorm(shape.hidden_dim, eps=shape.norm_eps)
        self.mlp = VisionMlp(shape)

    def forward(self, hidden_CPD: Tensor, mask_C11P: Tensor | None) -> Tensor:
        """Same shape as its input."""
        hidden_CPD = hidden_CPD + self.self_attn(self.layer_norm1(hidden_CPD), mask_C11P)
        output: Tensor = hidden_CPD + self.mlp(self.layer_norm2(hidden_CPD))
        return output


class LayerStack(nn.Module):
    """The layers under the name that Hugging Face gives them (`encoder.layers`); VisionEncoder runs them."""

    def __init__(self, shape: VisionShape, num_layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(VisionEncoderLayer(shape) for _ in range(num_layers))


class PoolingHead(nn.Module):
    """Weights of the released attention-pooling head, which no Phi-4 model runs: held for export only."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.empty(1, 1, shape.hidden_dim))
        self.attention = nn.MultiheadAttention(shape.hidden_dim, shape.num_heads, batch_first=True)
        self.layernorm = nn.LayerNorm(shape.hidden_dim, eps=shape.norm_eps)
        self.mlp = VisionMlp(shape)


class VisionEncoder(nn.Module):
    """Patch features of image crops, taken before the released encoder's last layer.

    Set `activation_checkpointing` to recompute each layer's activations in the backward pass.

    Args:
        shape: sizes; `num_layers` counts the released layers, of which the last is not allocated.
        with_unused_parts: also allocate what the released checkpoint holds and no model runs (last layer,
            post-norm, pooling head): only for importing and exporting released weights, never for training.

    Source: Phi-4-Mini technical report, arXiv 2503.01743; transformers, Phi4MultimodalVisionModel.
    """

    def __init__(self, shape: VisionShape, with_unused_parts: bool = False) -> None:
        super().__init__()
        self.shape = shape
        self.activation_checkpointing = False
        self.num_used_layers = shape.num_layers - 1
        self.embeddings = VisionEmbeddings(shape)
        self.encoder = LayerStack(shape, shape.num_layers if with_unused_parts else self.num_used_layers)
        if with_unused_parts:
            self.post_layernorm = nn.LayerNorm(shape.hidden_dim, eps=shape.norm_eps)
            self.head = PoolingHead(shape)

    def forward(self, crops_C3SS: Tensor, patch_mask_CGG: Tensor) -> Tensor:
        """Features of all patches in row-major order, shape (C, P, D), in the dtype of the weights.

        Args:
            crops_C3SS: normalised pixels.
            patch_mask_CGG: bool, False where a patch is only padding; the valid patches of a crop are a
                non-empty rectangle at its top left. Padding is never attended to.
        """
        hidden_CPD: Tensor = self.embeddings(crops_C3SS, patch_mask_CGG)
        mask_C11P = None if bool(patch_mask_CGG.all()) else patch_mask_CGG.flatten(1)[:, None, None, :]
        recompute = self.activation_checkpointing and torch.is_grad_enabled()
        for layer in islice(self.encoder.layers, self.num_used_layers):
            if recompute:  # without dropout there is no random state to preserve
                hidden_CPD = checkpoint(
                    layer, hidden_CPD, mask_C11P, use_reentrant=False, preserve_rng_state=False
                )
            else:
                hidden_CPD = layer(hidden_CPD, mask_C11P)
        return hidden_CPD


@torch.no_grad()
def init_vision_encoder(module: VisionEncoder, generator: torch.Generator) -> None:
    """Fills every parameter for training from scratch; a parameter on the meta device is left alone.

    Matrices are normal with variance 1 / fan-in, positions normal with variance 1 / D, biases 0, norms 1:
    the scales of SigLIP. Depends on `generator` only, not on the device or dtype of the weights.

    Source: SigLIP, arXiv 2303.15343 (reference code big_vision, models/vit.py).
    """
    for name, parameter in module.named_parameters():
        if "norm" in name and name.endswith("weight"):
            fill_constant(parameter, 1.0)
        elif name.endswith("bias"):
            fill_constant(parameter, 0.0)
        elif name.endswith(("position_embedding.weight", "probe")):
            fill_normal(parameter, generator, std=parameter.shape[-1] ** -0.5)
        else:
            fill_normal(parameter, generator, std=parameter.flatten(1).shape[1] ** -0.5)


def fill_constant(parameter: Tensor, value: float) -> None:
    """Sets all elements, in place."""
    parameter.fill_(value)


def fill_normal(parameter: Tensor, generator: torch.Generator, std: float) -> None:
    """Draws all elements from N(0, std) in place: in float32 on the generator's device, then converted."""
    if not parameter.is_meta:
        draw = torch.empty(parameter.shape, device=generator.device).normal_(0.0, std, generator=generator)
        parameter.copy_(draw)
