"""Audio as a media kind: log-mel features within the limit of seconds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from phi4train.batch import AudioInputs
from phi4train.data.media.audio import audio_header, decode_audio, resampled_length
from phi4train.data.media.audio_features import FRAME_SAMPLES, log_mel, num_audio_tokens, num_frames
from phi4train.data.media.kind import MediaSize
from phi4train.errors import SampleError

if TYPE_CHECKING:
    from phi4train.data.media.kind import Rows
    from phi4train.data.media.limits import Limits
    from phi4train.data.media.spec_augment import SpecAugment


@dataclass(frozen=True)
class AudioKind:
    """See MediaKind. Its items are log-mel features, float32 (F, M)."""

    name: str = "audio"
    version: int = 2
    extensions: tuple[str, ...] = ("wav", "flac", "ogg", "mp3")
    slot_token: str = "<|endoftext11|>"

    def measure(self, content: bytes) -> MediaSize:
        """Frames, counted, and sample rate."""
        header = audio_header(content)
        return MediaSize(frames=header.frames, sample_rate=header.sample_rate)

    def slot_length(self, size: MediaSize, limits: "Limits") -> int:
        """An eighth of its feature frames. Raises SampleError: `audio_too_long`, `audio_too_short`."""
        if size.frames > limits.max_audio_seconds * size.sample_rate:
            raise SampleError(
                "audio_too_long",
                f"audio must have at most {limits.max_audio_seconds:g} seconds · found "
                f"{self.describe(size)} · raise data.max_audio_seconds or cut the clip",
            )
        samples = resampled_length(size.frames, size.sample_rate)
        if samples < FRAME_SAMPLES:
            raise SampleError(
                "audio_too_short",
                f"audio must have at least 25 ms · found {size.frames} frames at {size.sample_rate} Hz · "
                "leave it out",
            )
        return num_audio_tokens(num_frames(samples))

    def process(self, content: bytes, limits: "Limits") -> Tensor:
        """Its log-mel features, float32 (F, M)."""
        features_FM = log_mel(decode_audio(content))
        if not bool(features_FM.isfinite().all()):
            raise SampleError(
                "bad_audio_values", "audio must have samples near -1 to 1 · found larger ones · scale them"
            )
        return features_FM

    def item_length(self, item: Tensor, limits: "Limits") -> int:
        """An eighth of the frames that it has become."""
        return num_audio_tokens(len(item))

    def augment(self, item: Tensor, settings: "SpecAugment", random: np.random.Generator) -> Tensor:
        """The features with stretches of time and mel bands masked."""
        return settings.masked(item, random)

    def collate(self, items: Sequence[Tensor], modes: Sequence[str], positions: Tensor) -> AudioInputs:
        """All frames end to end; the mode chooses the projector."""
        return AudioInputs(
            features_FM=torch.cat(list(items)),
            num_frames=tuple(len(item) for item in items),
            projectors=tuple("vision_speech" if mode == "vision_speech" else "speech" for mode in modes),
            positions=positions,
        )

    def describe(self, size: MediaSize) -> str:
        """Seconds and rate."""
        return f"{size.frames / size.sample_rate:.2f} s at {size.sample_rate} Hz"

    def totals(self, sizes: "Rows") -> dict[str, float]:
        """Hours, and clips by sample rate."""
        seconds = sizes["frames"] / np.maximum(sizes["sample_rate"], 1)
        rates, clips = np.unique(sizes["sample_rate"], return_counts=True)
        return {
            "hours": float(seconds.sum() / 3600),
            **{f"clips at {int(rate)} Hz": int(number) for rate, number in zip(rates, clips, strict=True)},
        }
