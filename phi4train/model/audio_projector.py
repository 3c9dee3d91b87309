"""Turns tokens of the audio encoder into tokens of the language model: two linear layers.

Shape suffixes: N tokens, D dimension of the encoder, O dimension of the language model.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phi4train.model.shapes import AudioShape
from phi4train.model.vision_encoder import fill_normal


class AudioProjector(nn.Module):
    """One projector of Phi4MultimodalAudioEmbedding: for speech alone, or for speech beside images.

    Args:
        shape: sizes of the encoder.
        output_dim: hidden dimension of the language model.

    Source: Phi-4-Mini technical report, arXiv 2503.01743; transformers, Phi4MultimodalAudioEmbedding.
    """

    def __init__(self, shape: AudioShape, output_dim: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(shape.hidden_dim, output_dim)
        self.down_proj = nn.Linear(output_dim, output_dim)

    def forward(self, tokens_ND: Tensor) -> Tensor:
        """Projected tokens, shape (N, O)."""
        projected_NO: Tensor = self.down_proj(F.gelu(self.up_proj(tokens_ND)))
        return projected_NO


@torch.no_grad()
def init_audio_projector(module: AudioProjector, generator: torch.Generator) -> None:
    """Fills every parameter for training from scratch; a parameter on the meta device is left alone.

    Matrices are normal with variance 1 / fan-in, biases 0. Depends on `generator` only.
    """
    for parameter in module.parameters():
        if parameter.dim() == 2:
            fill_normal(parameter, generator, std=parameter.shape[1] ** -0.5)
        else:
            parameter.zero_()
