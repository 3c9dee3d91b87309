"""Log-mel features of speech, frame by frame: what the audio encoder of Phi-4-Multimodal reads.

samples (16 kHz) -> frames of 25 ms every 10 ms -> power spectrum -> 80 mel bands -> natural logarithm

Shape suffixes: S samples, F feature frames, L samples of one frame, B frequency bins, M mel bands.
Source: transformers, Phi4MultimodalFeatureExtractor.
"""

from functools import lru_cache

import torch
from torch import Tensor

SAMPLE_RATE_HZ = 16_000
FRAME_SAMPLES = 400
"""Samples of one frame: 25 ms."""
HOP_SAMPLES = 160
"""Samples from the start of a frame to the start of the next: 10 ms."""
NUM_MELS = 80
FRAMES_PER_TOKEN = 8
"""Feature frames behind one token of the audio encoder."""

_FFT_SAMPLES = 512
_PREEMPHASIS = 0.97
_SAMPLE_SCALE = 32768.0  # the released statistics are those of 16-bit integer samples
_HIGHEST_MEL_HZ = 7690.0
_MIN_POWER = 1.0
_CHUNK_FRAMES = 512  # some 8 MB of work at once; larger chunks are not faster


def num_frames(num_samples: int) -> int:
    """Feature frames of a clip; 0 when it is shorter than one frame. A rest at the end is dropped."""
    return max(0, (num_samples - FRAME_SAMPLES) // HOP_SAMPLES + 1)


def num_audio_tokens(num_frames: int) -> int:
    """Tokens that the audio encoder gives for a clip of so many feature frames."""
    return -(-num_frames // FRAMES_PER_TOKEN)


def log_mel(samples: Tensor) -> Tensor:
    """Log-mel features of one clip, float32 (F, M); a frame depends on its own 25 ms alone.

    Works through the clip in pieces: beyond its output it needs the same memory for a second as for hours.

    Args:
        samples: mono at SAMPLE_RATE_HZ in [-1, 1], float32, shape (S,).

    Raises:
        ValueError: the samples are not one float32 row.
    """
    if samples.dim() != 1 or samples.dtype != torch.float32:
        raise ValueError(
            f"samples must be one float32 row of mono audio · found shape {tuple(samples.shape)} of "
            f"{samples.dtype} · average the channels and convert to float32 in [-1, 1]"
        )
    features_FM = torch.empty(num_frames(len(samples)), NUM_MELS, device=samples.device)
    window_L, mel_BM = (constant.to(samples.device) for constant in (_window(), _mel_filters()))
    for first in range(0, len(features_FM), _CHUNK_FRAMES):
        chunk_FM = features_FM[first : first + _CHUNK_FRAMES]
        start, end = first * HOP_SAMPLES, (first + len(chunk_FM) - 1) * HOP_SAMPLES + FRAME_SAMPLES
        frames_FL = samples[start:end].unfold(0, FRAME_SAMPLES, HOP_SAMPLES)
        torch.matmul(_power_spectrum(frames_FL, window_L), mel_BM, out=chunk_FM)
    return features_FM.clamp_(min=_MIN_POWER).log_()


def _power_spectrum(frames_FL: Tensor, window_L: Tensor) -> Tensor:
    """Power of each frame's frequencies after pre-emphasis within the frame, float32 (F, B).

    The transform is float64: in float32 its error is of the order of the quietest bands that count.
    """
    previous_FL = torch.cat([frames_FL[:, :1], frames_FL[:, :-1]], dim=1)  # the first sample precedes itself
    emphasised_FL = (frames_FL - _PREEMPHASIS * previous_FL) * _SAMPLE_SCALE
    spectrum_FB = torch.fft.rfft(emphasised_FL * window_L, n=_FFT_SAMPLES)
    power_FB: Tensor = spectrum_FB.to(torch.complex64).abs().square()
    return power_FB


@lru_cache(maxsize=1)
def _window() -> Tensor:
    """Symmetric Hamming window, float64 (L,)."""
    return torch.hamming_window(FRAME_SAMPLES, periodic=False, dtype=torch.float64)


@lru_cache(maxsize=1)
def _mel_filters() -> Tensor:
    """Weights of the mel bands: triangles of equal width on Kaldi's mel scale, float32 (B, M)."""
    bins_hz = torch.arange(_FFT_SAMPLES // 2 + 1, dtype=torch.float64) * (SAMPLE_RATE_HZ / _FFT_SAMPLES)
    highest_mel = float(_mels(torch.tensor(_HIGHEST_MEL_HZ, dtype=torch.float64)))
    corners = torch.linspace(0.0, highest_mel, NUM_MELS + 2, dtype=torch.float64)
    width = highest_mel / (NUM_MELS + 1)
    distance_BM = (_mels(bins_hz)[:, None] - corners[None, 1:-1]).abs() / width
    return (1.0 - distance_BM).clamp(min=0.0).float()


def _mels(frequency_hz: Tensor) -> Tensor:
    return 1127.0 * torch.log1p(frequency_hz / 700.0)
