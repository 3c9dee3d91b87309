"""Turns patch features into tokens of the language model: 2x2 merge, learned separators, two linear layers.

Shape suffixes: C crops, G patches per crop side, M = G / 2 merged tokens per crop side, P = G * G patches,
D dimension of the encoder, N tokens of all images laid end to end, O dimension of the language model.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phi4train.model.shapes import VisionShape
from phi4train.model.vision_encoder import fill_normal

_ROW_END = -1
_VIEW_END = -2


class VisionProjector(nn.Module):
    """Merge, separators and projection, with the parameter names of Phi4MultimodalImageEmbedding.

    Args:
        shape: sizes of the encoder; crop_size / patch_size must be even.
        output_dim: hidden dimension of the language model.

    Raises:
        ValueError: the patches of a crop cannot be merged two by two.

    Source: Phi-4-Mini technical report, arXiv 2503.01743; transformers, Phi4MultimodalImageEmbedding.
    """

    def __init__(self, shape: VisionShape, output_dim: int) -> None:
        super().__init__()
        if shape.crop_size % (2 * shape.patch_size):
            raise ValueError(
                f"crop_size must be an even multiple of patch_size · found {shape.crop_size} and "
                f"{shape.patch_size} · choose a crop_size divisible by {2 * shape.patch_size}"
            )
        self.img_projection_up = nn.Linear(shape.hidden_dim, output_dim)
        self.img_projection_down = nn.Linear(output_dim, output_dim)
        self.sub_img_feature_extensor = nn.Parameter(torch.zeros(1, 1, 1, shape.hidden_dim))
        """Ends every row of tokens, of sub-crops and global view (`sub_GN` in the released weights)."""
        self.global_img_feature_extensor = nn.Parameter(torch.zeros(1, 1, shape.hidden_dim))
        """Stands between the sub-crops and the global view (`glb_GN` in the released weights)."""

    def forward(
        self, features_CPD: Tensor, patch_mask_CGG: Tensor, grids: tuple[tuple[int, int], ...]
    ) -> Tensor:
        """Tokens of all images laid end to end, shape (N, O).

        An image is its sub-crops stitched to one grid without padded rows and columns, then the separator of
        views, then its global view. Arguments as in ImageInputs.
        """
        merged_CMMD = merge_patches(features_CPD)
        index_N = _batch_index(patch_mask_CGG, grids)
        is_row_end_N, is_view_end_N = index_N == _ROW_END, index_N == _VIEW_END
        # Each separator token has a source row of its own: no row is read twice, so the gradient of the
        # gather has no colliding additions, whose order would be undefined on GPU.
        num_merged, num_row_ends = merged_CMMD.shape[:3].numel(), int(is_row_end_N.sum())
        index_N[is_row_end_N] = num_merged + torch.arange(num_row_ends)
        index_N[is_view_end_N] = num_merged + num_row_ends + torch.arange(len(grids))
        source_D = torch.cat(
            [
                merged_CMMD.flatten(0, 2),
                self.sub_img_feature_extensor.view(1, -1).expand(num_row_ends, -1),
                self.global_img_feature_extensor.view(1, -1).expand(len(grids), -1),
            ]
        )
        tokens_ND = source_D.index_select(0, index_N.to(source_D.device, non_blocking=True))
        projected_NO: Tensor = self.img_projection_down(F.gelu(self.img_projection_up(tokens_ND)))
        return projected_NO


def merge_patches(features_CPD: Tensor) -> Tensor:
    """Averages each 2x2 block of patches, shape (C, M, M, D)."""
    C, P, D = features_CPD.shape
    M = int(P**0.5) // 2
    return features_CPD.view(C, M, 2, M, 2, D).mean(dim=(2, 4))


def _batch_index(patch_mask_CGG: Tensor, grids: tuple[tuple[int, int], ...]) -> Tensor:
    """Row of the flattened merged features behind each token, or a separator's code; int64 (N,) on CPU."""
    M = patch_mask_CGG.shape[-1] // 2
    # a merged token is kept when the top left one of its four patches is valid
    kept_2C = torch.stack([patch_mask_CGG[:, ::2, 0].sum(dim=1), patch_mask_CGG[:, 0, ::2].sum(dim=1)])
    kept_rows, kept_columns = kept_2C.tolist()
    parts, first_crop = [torch.zeros(0, dtype=torch.int64)], 0
    for rows, columns in grids:
        first_sub, end = first_crop + 1, first_crop + 1 + rows * columns
        height = sum(kept_rows[first_sub:end:columns])
        width = sum(kept_columns[first_sub : first_sub + columns])
        index = _image_index(columns, height, width, M)
        parts.append(torch.where(index < 0, index, index + first_crop * M * M))
        first_crop = end
    return torch.cat(parts)


@lru_cache(maxsize=4096)
def _image_index(columns: int, height: int, width: int, M: int) -> Tensor:
    """_batch_index of one image whose sub-crops keep `height` x `width` tokens; crop 0 is its global view."""
    y, x = torch.arange(height)[:, None], torch.arange(width)
    sub_crop = 1 + (y // M) * columns + x // M
    sub_rows = F.pad(sub_crop * M * M + (y % M) * M + x % M, (0, 1), value=_ROW_END)
    global_rows = F.pad(torch.arange(M * M).view(M, M), (0, 1), value=_ROW_END)
    return torch.cat([sub_rows.flatten(), torch.tensor([_VIEW_END]), global_rows.flatten()])


@torch.no_grad()
def init_vision_projector(module: VisionProjector, generator: torch.Generator) -> None:
    """Fills every parameter for training from scratch; a parameter on the meta device is left alone.

    Matrices are normal with variance 1 / fan-in, biases and separators 0. Depends on `generator` only.
    """
    for parameter in module.parameters():
        if parameter.dim() == 2:
            fill_normal(parameter, generator, std=parameter.shape[1] ** -0.5)
        else:
            parameter.zero_()
