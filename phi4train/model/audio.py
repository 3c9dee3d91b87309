"""The audio part of the model: one encoder and the projectors that share it, joined to map clips to tokens.

features (F, M) -> AudioEncoder -> tokens (N, D) -> AudioProjector -> tokens (N, output_dim)
          component audio_encoder           component audio_projector.speech or .vision_speech
"""

import torch
from torch import Tensor, nn

from phi4train.batch import AudioInputs
from phi4train.model.audio_encoder import FRAMES_PER_TOKEN, AudioEncoder, init_audio_encoder, num_audio_tokens
from phi4train.model.audio_projector import AudioProjector, init_audio_projector

__all__ = ["AudioEncoder", "AudioProjector", "AudioTower", "init_audio_encoder", "init_audio_projector"]


class AudioTower(nn.Module):
    """All audio tokens of a batch; an encoder without trainable parameters runs without recording a graph.

    Args:
        encoder: tokens of clips.
        projectors: by the name that AudioInputs.projectors uses; more may be added later.
    """

    def __init__(self, encoder: AudioEncoder, projectors: dict[str, AudioProjector]) -> None:
        super().__init__()
        self.encoder = encoder
        self.projectors = nn.ModuleDict(projectors)
        self.in_lockstep = False
        """Whether every batch runs every projector."""

    def idle_inputs(self) -> AudioInputs:
        """One silent clip of a single token: the encoder knows no clip of nothing."""
        device = next(self.parameters()).device
        return AudioInputs(
            features_FM=torch.zeros(FRAMES_PER_TOKEN, self.encoder.shape.num_mels, device=device),
            num_frames=(FRAMES_PER_TOKEN,),
            projectors=(min(self.projectors),),
            positions=torch.zeros(1, dtype=torch.int64, device=device),
        )

    def forward(self, audio: AudioInputs) -> Tensor:
        """Tokens in the order of `audio.positions`, shape (N, output_dim).

        Raises:
            ValueError: a clip's projector is not installed, the features are not those of the clips, or their
                tokens do not fill `audio.positions`.
        """
        lengths = [num_audio_tokens(frames) for frames in audio.num_frames]
        self._check(audio, sum(lengths))
        encoder_learns = any(parameter.requires_grad for parameter in self.encoder.parameters())
        with torch.set_grad_enabled(encoder_learns and torch.is_grad_enabled()):
            tokens_ND = self.encoder(audio.features_FM, audio.num_frames)
        return self._project(tokens_ND, audio.projectors, lengths)

    def _project(self, tokens_ND: Tensor, names: tuple[str, ...], lengths: list[int]) -> Tensor:
        """Every clip's tokens through its own projector, in the order of the clips."""
        chosen = sorted(self.projectors if self.in_lockstep else set(names))
        if len(chosen) == 1:
            only: Tensor = self.projectors[chosen[0]](tokens_ND)
            return only
        choice_N = torch.tensor([chosen.index(name) for name in names]).repeat_interleave(
            torch.tensor(lengths)
        )
        rows = [(choice_N == index).nonzero().squeeze(1) for index in range(len(chosen))]
        projected = [
            self.projectors[name](tokens_ND.index_select(0, rows_N.to(tokens_ND.device)))
            for name, rows_N in zip(chosen, rows, strict=True)
        ]
        return torch.cat(projected).index_select(0, torch.cat(rows).argsort().to(tokens_ND.device))

    def _check(self, audio: AudioInputs, num_tokens: int) -> None:
        missing = sorted(set(audio.projectors) - set(self.projectors))
        if missing:
            raise ValueError(
                f"each clip's projector must be installed · found clips for {missing} and projectors for "
                f"{sorted(self.projectors)} · add the component audio_projector.{missing[0]} to the model"
            )
        if len(audio.projectors) != len(audio.num_frames):
            raise ValueError(
                f"AudioInputs.projectors must name one projector a clip · found {len(audio.projectors)} for "
                f"{len(audio.num_frames)} clips · name the projector of each clip's mode"
            )
        if num_tokens != audio.positions.numel():
            raise ValueError(
                f"AudioInputs.positions must hold one slot per audio token · found {audio.positions.numel()} "
                f"slots for {num_tokens} tokens · count them with num_audio_tokens of each clip's frames"
            )
