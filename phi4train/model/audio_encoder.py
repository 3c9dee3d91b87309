"""Conformer encoder of log-mel features, with the parameter names of Phi4MultimodalAudioModel.

clips -> windows of at most `window_tokens` -> groups of windows alike in length -> per group: convolutions
that keep every eighth frame, conformer blocks -> tokens in the order of the clips

Shape suffixes: N tokens of all clips laid end to end, F feature frames, M mel bands, W windows of a group,
T tokens of the group's longest window, D model dimension, H heads, B pieces of windows, C channels.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from phi4train.model.audio_conformer import ConformerBlock, RelativeBias
from phi4train.model.shapes import AudioShape
from phi4train.model.vision_encoder import fill_constant, fill_normal

FRAMES_PER_TOKEN = 8
_HALO_FRAMES = 7
"""Frames before its own eight that a token reads, through three convolutions of width 3 and stride 2."""

_GROUP_TOKENS = 4000
"""Tokens, padding counted, that go through the blocks at once: eight released windows."""
_MAX_PADDED_FRACTION = 0.2
_FREE_PADDING_TOKENS = 256
"""Padding in a group that costs less than the calls of one group more: short clips go together."""
_PIECE_TOKENS = 128
"""Tokens, padding counted, that are convolved at once: the first released map then has 84 MB in float32."""

_SPEECH_MEAN, _SPEECH_DEVIATION = 15.0, 5.0
"""Of the log-mel features of speech that fills a good part of the 16-bit range."""

_BRANCH_ENDS = ("down_proj.weight", "o_proj.weight", "conv.ext_pw_conv_1d.weight")
_BRANCH_SCALE = 0.1
"""A new block starts close to the identity: with full branches, five blocks learn several times later."""


def num_audio_tokens(num_frames: int) -> int:
    """Tokens of a clip of so many feature frames."""
    return -(-num_frames // FRAMES_PER_TOKEN)


class AudioNormalisation(nn.Module):
    """Subtracts the mean of each mel band and divides by its deviation; both are given, never learned."""

    def __init__(self, num_mels: int) -> None:
        super().__init__()
        self.global_mean: Tensor
        self.global_invstd: Tensor
        self.register_buffer("global_mean", torch.zeros(num_mels))
        self.register_buffer("global_invstd", torch.ones(num_mels))

    def forward(self, features_FM: Tensor) -> Tensor:
        """Same shape as its input."""
        return (features_FM - self.global_mean) * self.global_invstd


class AudioSubsampling(nn.Module):
    """One token from every eight frames: three convolutions that halve time and frequency, then a projection.

    Source: transformers, Phi4MultimodalAudioNemoConvSubsampling.
    """

    def __init__(self, shape: AudioShape) -> None:
        super().__init__()
        channels = shape.subsampling_channels

        def halve(inputs: int, groups: int) -> nn.Conv2d:  # time is padded by the caller, frequency here
            return nn.Conv2d(inputs, channels, 3, stride=2, padding=(0, 1), groups=groups)

        first = (halve(1, 1), nn.ReLU(inplace=True))
        second = (halve(channels, channels), nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True))
        third = (halve(channels, channels), nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True))
        self.conv = nn.Sequential(*first, *second, *third)
        self.out = nn.Linear(channels * num_audio_tokens(shape.num_mels), shape.hidden_dim)

    def forward(self, frames_BFM: Tensor, first_frame_B: Tensor, clip_frames_B: Tensor) -> Tensor:
        """Tokens of pieces of clips, shape (B, (F - 7) / 8, D).

        Args:
            frames_BFM: seven frames before the piece, then its frames; zeros where the clip has none.
            first_frame_B: where in its clip a piece's first row lies, a multiple of 8 less 7; int64.
            clip_frames_B: frames of the clip.
        """
        hidden_BCFM = frames_BFM[:, None]
        first_B, length_B = first_frame_B, clip_frames_B
        for layer in self.conv:
            if isinstance(layer, nn.ReLU):
                # a halved map ends where its clip does: the next convolution reads zeros there, not the bias
                position_BF = first_B[:, None] + torch.arange(hidden_BCFM.shape[2], device=first_B.device)
                outside_BF = (position_BF < 0) | (position_BF >= length_B[:, None])
                hidden_BCFM = hidden_BCFM.masked_fill_(outside_BF[:, None, :, None], 0.0)
            hidden_BCFM = layer(hidden_BCFM)
            if isinstance(layer, nn.Conv2d) and layer.stride[0] == 2:
                first_B, length_B = (first_B + 1) // 2, (length_B + 1) // 2
        tokens: Tensor = self.out(hidden_BCFM.transpose(1, 2).flatten(2))
        return tokens


class Window(NamedTuple):
    """A stretch of one clip that attends to itself."""

    first_token: int
    """Within the clip."""
    num_tokens: int
    clip_start: int
    """Frame of the flat F axis at which the clip starts."""
    clip_frames: int
    output_start: int
    """Row of the flat N axis at which the window's tokens start."""


class AudioEncoder(nn.Module):
    """Tokens of audio clips: one for every 80 ms; no padding and no other clip influences them.

    A clip of more than `window_tokens` is cut into windows from its start, and no window sees another but for
    the few frames that the first convolutions share. Windows pass in groups, so that without gradients the
    memory needed beyond the output does not grow with the length of the audio.

    Set `activation_checkpointing` to recompute activations of convolutions and blocks in the backward pass.

    Source: Phi-4-Mini technical report, arXiv 2503.01743; transformers, Phi4MultimodalAudioModel.
    """

    def __init__(self, shape: AudioShape) -> None:
        super().__init__()
        self.shape = shape
        self.activation_checkpointing = False
        self.encoder_embedding = AudioNormalisation(shape.num_mels)
        self.embed = AudioSubsampling(shape)
        self.relative_attention_bias_layer = RelativeBias(shape)
        self.encoders = nn.ModuleList(ConformerBlock(shape) for _ in range(shape.num_layers))

    def forward(self, features_FM: Tensor, num_frames: Sequence[int]) -> Tensor:
        """Tokens of all clips laid end to end, shape (N, D), in the dtype of the weights.

        Args:
            features_FM: log-mel features of the clips laid end to end.
            num_frames: frames of each clip.

        Raises:
            ValueError: a clip is empty, or the features are not those of the clips.
        """
        if min(num_frames, default=0) < 1 or features_FM.shape != (sum(num_frames), self.shape.num_mels):
            raise ValueError(
                f"features must be {self.shape.num_mels} mel bands of the frames of one or more clips, none "
                f"empty · found shape {tuple(features_FM.shape)} for clips of {list(num_frames)} frames · "
                "make them with data.media.audio_features.log_mel and drop clips shorter than a frame"
            )
        windows = _cut_windows(num_frames, self.shape.window_tokens)
        groups = list(_group_windows(windows))
        tokens_ND = torch.cat([self._encode_group(features_FM, group) for group in groups])
        in_groups = [window for group in groups for window in group]
        if in_groups == windows:
            return tokens_ND
        place_N = torch.cat([torch.arange(w.output_start, w.output_start + w.num_tokens) for w in in_groups])
        return tokens_ND.index_select(0, place_N.argsort().to(tokens_ND.device))

    def _encode_group(self, features_FM: Tensor, group: Sequence[Window]) -> Tensor:
        """Tokens of the windows of one group laid end to end."""
        hidden_WTD = self._embed_group(features_FM, group)
        T = hidden_WTD.shape[1]
        token_T = torch.arange(T, device=hidden_WTD.device)
        length_W = torch.tensor([window.num_tokens for window in group], device=hidden_WTD.device)
        padded_WT = None if group[-1].num_tokens == T else token_T >= length_W[:, None]
        bias_WHTT = self.relative_attention_bias_layer(token_T, padded_WT)
        for block in self.encoders:
            hidden_WTD = self._run(block, hidden_WTD, bias_WHTT)
        return hidden_WTD.flatten(0, 1) if padded_WT is None else hidden_WTD[~padded_WT]

    def _embed_group(self, features_FM: Tensor, group: Sequence[Window]) -> Tensor:
        """Embedded tokens of windows, padded to the longest one, shape (W, T, D).

        The windows are convolved in pieces of equal length, some at a time.
        """
        T = group[0].num_tokens
        num_pieces = -(-T // _PIECE_TOKENS)
        piece_tokens = -(-T // num_pieces)
        piece_frames = piece_tokens * FRAMES_PER_TOKEN
        pieces_B3 = torch.tensor(
            [
                (
                    w.first_token * FRAMES_PER_TOKEN + i * piece_frames - _HALO_FRAMES,
                    w.clip_start,
                    w.clip_frames,
                )
                for w in group
                for i in range(num_pieces)
            ],
            device=features_FM.device,
        )
        offset_F = torch.arange(_HALO_FRAMES + piece_frames, device=features_FM.device)
        outputs = []
        pieces_at_once = _PIECE_TOKENS // piece_tokens
        for start in range(0, len(pieces_B3), pieces_at_once):
            first_frame_B, clip_start_B, clip_frames_B = pieces_B3[start : start + pieces_at_once].unbind(1)
            position_BF = first_frame_B[:, None] + offset_F
            outside_BF = (position_BF < 0) | (position_BF >= clip_frames_B[:, None])
            row_BF = (clip_start_B[:, None] + position_BF).masked_fill(outside_BF, 0)
            normal_BFM = self.encoder_embedding(features_FM[row_BF]).to(self.embed.out.weight.dtype)
            frames_BFM = normal_BFM.masked_fill(outside_BF[:, :, None], 0.0)
            outputs.append(self._run(self.embed, frames_BFM, first_frame_B, clip_frames_B))
        return torch.cat(outputs).view(len(group), num_pieces * piece_tokens, -1)[:, :T]

    def _run(self, module: nn.Module, *arguments: Tensor) -> Tensor:
        """The module's output, its activations recomputed in the backward pass if so chosen."""
        if self.activation_checkpointing and torch.is_grad_enabled():
            draws = self.training and self.shape.dropout > 0
            output: Tensor = checkpoint(module, *arguments, use_reentrant=False, preserve_rng_state=draws)
        else:
            output = module(*arguments)
        return output


def _cut_windows(num_frames: Sequence[int], window_tokens: int) -> list[Window]:
    """The windows of all clips, in order."""
    windows, clip_start, output_start = [], 0, 0
    for frames in num_frames:
        tokens = num_audio_tokens(frames)
        for first in range(0, tokens, window_tokens):
            length = min(window_tokens, tokens - first)
            windows.append(Window(first, length, clip_start, frames, output_start + first))
        clip_start, output_start = clip_start + frames, output_start + tokens
    return windows


def _group_windows(windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Windows alike in length, longest first: no group exceeds _GROUP_TOKENS or is padded by much."""
    group: list[Window] = []
    padding = 0
    for window in sorted(windows, key=lambda window: -window.num_tokens):
        if group:
            longest = group[0].num_tokens
            missing = longest - window.num_tokens
            fits = (len(group) + 1) * longest <= _GROUP_TOKENS
            is_wasteful = (
                missing > _MAX_PADDED_FRACTION * longest and padding + missing > _FREE_PADDING_TOKENS
            )
            if not fits or is_wasteful:
                yield group
                group, padding = [], 0
        group.append(window)
        padding += group[0].num_tokens - window.num_tokens
    if group:
        yield group


@torch.no_grad()
def init_audio_encoder(module: AudioEncoder, generator: torch.Generator) -> None:
    """Fills every parameter and buffer for training from scratch; what is on the meta device is left alone.

    Matrices and filters are normal with variance 1 / fan-in, those that end a residual branch ten times
    narrower; the bias of distances has variance 1 / D. Biases are 0, norms 1; features are shifted and scaled
    by the level of ordinary speech. Depends on `generator` only.
    """
    for name, parameter in module.named_parameters():
        if "norm" in name and name.endswith("weight"):
            fill_constant(parameter, 1.0)
        elif name.endswith(("bias", "b1", "b2")):
            fill_constant(parameter, 0.0)
        elif name.endswith("bias_values.weight"):
            fill_normal(parameter, generator, std=module.shape.hidden_dim**-0.5)
        else:
            scale = _BRANCH_SCALE if name.endswith(_BRANCH_ENDS) else 1.0
            fill_normal(parameter, generator, std=scale * parameter.flatten(1).shape[1] ** -0.5)
    fill_constant(module.encoder_embedding.global_mean, _SPEECH_MEAN)
    fill_constant(module.encoder_embedding.global_invstd, 1 / _SPEECH_DEVIATION)
