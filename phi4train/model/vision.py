"""The vision part of the model: encoder and projector, joined to map images to tokens.

crops (C, 3, S, S) -> VisionEncoder -> patch features -> VisionProjector -> tokens (N, output_dim)
                      component vision_encoder           component vision_projector
"""

import torch
from torch import Tensor, nn

from phi4train.batch import ImageInputs
from phi4train.model.vision_encoder import VisionEncoder, init_vision_encoder
from phi4train.model.vision_projector import VisionProjector, init_vision_projector

__all__ = ["VisionEncoder", "VisionProjector", "VisionTower", "init_vision_encoder", "init_vision_projector"]


class VisionTower(nn.Module):
    """All image tokens of a batch; an encoder without trainable parameters runs without recording a graph.

    Args:
        encoder: features of crops.
        projector: tokens from features.
    """

    def __init__(self, encoder: VisionEncoder, projector: VisionProjector) -> None:
        super().__init__()
        self.encoder = encoder
        self.projector = projector

    def idle_inputs(self) -> ImageInputs:
        """No image at all."""
        size = self.encoder.shape.crop_size
        num_patches = size // self.encoder.shape.patch_size
        device = next(self.parameters()).device
        return ImageInputs(
            crops_C3SS=torch.zeros(0, 3, size, size, device=device),
            patch_mask_CGG=torch.zeros(0, num_patches, num_patches, dtype=torch.bool, device=device),
            grids=(),
            positions=torch.zeros(0, dtype=torch.int64, device=device),
        )

    def forward(self, images: ImageInputs) -> Tensor:
        """Tokens in the order of `images.positions`, shape (N, output_dim).

        Raises:
            ValueError: the tokens of the images do not fill `images.positions`.
        """
        encoder_learns = any(parameter.requires_grad for parameter in self.encoder.parameters())
        with torch.set_grad_enabled(encoder_learns and torch.is_grad_enabled()):
            features_CPD = self.encoder(images.crops_C3SS, images.patch_mask_CGG)
        tokens: Tensor = self.projector(features_CPD, images.patch_mask_CGG, images.grids)
        if len(tokens) != images.positions.numel():
            raise ValueError(
                f"ImageInputs.positions must hold one slot per image token · found "
                f"{images.positions.numel()} slots for {len(tokens)} tokens · use an ImageGeometry with the "
                f"model's crop and patch size"
            )
        return tokens
