"""Hours of audio stream through a frozen encoder: the memory at its peak grows with the output alone."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from phi4train.batch import AudioInputs
from phi4train.data.media.audio_features import SAMPLE_RATE_HZ, num_frames
from phi4train.model import audio_encoder
from phi4train.model.audio import (
    AudioEncoder,
    AudioProjector,
    AudioTower,
    init_audio_encoder,
    init_audio_projector,
)
from phi4train.model.audio_encoder import num_audio_tokens
from phi4train.model.shapes import AudioShape

SHAPE = AudioShape(hidden_dim=16, intermediate_dim=24, num_layers=1, num_heads=2, subsampling_channels=16)
OUTPUT_DIM = 8


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that were made inside it and still exist, and the most of them ever."""

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: object, args: Any = (), kwargs: Any = None
    ) -> Any:
        known_before = {t.untyped_storage()._cdata for t in tree_leaves(args) if isinstance(t, Tensor)}
        output = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(output):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                if storage._cdata not in self._known | known_before:
                    self._known.add(storage._cdata)
                    self.live += storage.nbytes()
                    weakref.finalize(storage, self._forget, storage._cdata, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return output

    def _forget(self, identity: int, nbytes: int) -> None:
        self._known.discard(identity)
        self.live -= nbytes


def build_frozen() -> AudioTower:
    encoder, projector = AudioEncoder(SHAPE), AudioProjector(SHAPE, OUTPUT_DIM)
    init_audio_encoder(encoder, torch.Generator().manual_seed(0))
    init_audio_projector(projector, torch.Generator().manual_seed(1))
    return AudioTower(encoder, {"speech": projector}).requires_grad_(False)


def clip(seconds: float) -> AudioInputs:
    frames = num_frames(round(seconds * SAMPLE_RATE_HZ))
    features = torch.randn(frames, 80, generator=torch.Generator().manual_seed(0))
    return AudioInputs(features, (frames,), ("speech",), torch.arange(num_audio_tokens(frames)))


def peak_bytes(seconds: float) -> int:
    tower, audio = build_frozen(), clip(seconds)
    with LiveBytes() as memory:
        tokens = tower(audio)
    assert tokens.shape == (num_audio_tokens(audio.num_frames[0]), OUTPUT_DIM)
    assert tokens.isfinite().all()
    return memory.peak


def assert_peak_grows_with_the_output_alone(seconds: float) -> None:
    """Two groups of windows need what all need, but for the tokens, of which there are a few copies."""
    of_two_groups = peak_bytes(8 * 40 + 40)
    num_tokens = num_audio_tokens(num_frames(round(seconds * SAMPLE_RATE_HZ)))
    allowed = of_two_groups + 160 * num_tokens  # measured: 128, from one of the encoder's and two projected
    assert peak_bytes(seconds) < allowed
    of_first_map = 4 * (4 * num_tokens) * 40 * SHAPE.subsampling_channels
    assert allowed < of_first_map / 4, "the bound says something: the first convolution alone would break it"


def test_half_an_hour_streams_through_a_frozen_encoder() -> None:
    assert_peak_grows_with_the_output_alone(30 * 60)


@pytest.mark.slow
def test_the_longest_audio_streams_through_a_frozen_encoder() -> None:
    assert_peak_grows_with_the_output_alone(2.8 * 3600)


def test_frames_are_not_convolved_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    forward = audio_encoder.AudioSubsampling.forward

    def spy(self: audio_encoder.AudioSubsampling, frames: Tensor, *where: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, frames.shape[:2].numel())
        return forward(self, frames, *where)

    monkeypatch.setattr(audio_encoder.AudioSubsampling, "forward", spy)
    short = [clip(0.3) for _ in range(200)]
    features = torch.cat([one.features_FM for one in [*short, clip(90)]])
    tower = build_frozen()
    tower.encoder(features, tuple(one.num_frames[0] for one in [*short, clip(90)]))
    assert largest <= audio_encoder._PIECE_TOKENS * 15
