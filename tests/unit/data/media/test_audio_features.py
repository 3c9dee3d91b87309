"""Log-mel features: how many there are, what each depends on, and that length costs nothing but output."""

import math

import pytest
import torch
from torch import Tensor

from phi4train.data.media import audio_features
from phi4train.data.media.audio_features import (
    FRAME_SAMPLES,
    HOP_SAMPLES,
    SAMPLE_RATE_HZ,
    log_mel,
    num_audio_tokens,
    num_frames,
)


def noise(num_samples: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(num_samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "num_samples, frames",
    [(0, 0), (1, 0), (399, 0), (400, 1), (559, 1), (560, 2), (SAMPLE_RATE_HZ, 98)],
)
def test_frames_are_counted_and_computed_alike(num_samples: int, frames: int) -> None:
    assert num_frames(num_samples) == frames
    assert log_mel(noise(num_samples)).shape == (frames, 80)


@pytest.mark.parametrize(
    "seconds, tokens",
    [(1, 13), (30, 375), (40, 500), (60, 750), (30 * 60, 22_500), (2.8 * 3600, 126_000)],
)
def test_durations_give_the_published_numbers_of_tokens(seconds: float, tokens: int) -> None:
    assert num_audio_tokens(num_frames(round(seconds * SAMPLE_RATE_HZ))) == tokens


def test_no_frame_is_no_token_and_one_frame_is_one() -> None:
    assert [num_audio_tokens(frames) for frames in (0, 1, 8, 9)] == [0, 1, 1, 2]


def test_a_frame_depends_on_its_own_samples_alone() -> None:
    samples = noise(20 * HOP_SAMPLES + FRAME_SAMPLES)
    whole = log_mel(samples)
    for frame in (0, 7, 20):
        alone = log_mel(samples[frame * HOP_SAMPLES : frame * HOP_SAMPLES + FRAME_SAMPLES])
        torch.testing.assert_close(whole[frame : frame + 1], alone, rtol=0, atol=1e-5)


def test_the_size_of_the_pieces_does_not_change_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = noise(100 * HOP_SAMPLES + FRAME_SAMPLES + 77)
    whole = log_mel(samples)
    for chunk in (1, 7, 50, 101):
        monkeypatch.setattr(audio_features, "_CHUNK_FRAMES", chunk)
        torch.testing.assert_close(log_mel(samples), whole, rtol=0, atol=1e-5)


def test_no_intermediate_value_grows_with_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = 0
    original = audio_features._power_spectrum

    def spy(frames: Tensor, window: Tensor) -> Tensor:
        nonlocal longest
        longest = max(longest, len(frames))
        return original(frames, window)

    monkeypatch.setattr(audio_features, "_power_spectrum", spy)
    log_mel(noise(60 * SAMPLE_RATE_HZ))
    assert longest == audio_features._CHUNK_FRAMES < num_frames(60 * SAMPLE_RATE_HZ)


def test_silence_gives_zeros() -> None:
    assert not log_mel(torch.zeros(SAMPLE_RATE_HZ)).any()


@pytest.mark.parametrize("frequency_hz", [300.0, 1000.0, 3000.0, 6000.0])
def test_a_tone_is_loudest_in_the_band_of_its_frequency(frequency_hz: float) -> None:
    time = torch.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    band = log_mel(torch.sin(2 * math.pi * frequency_hz * time)).mean(dim=0).argmax()
    mel, highest = (1127.0 * math.log1p(hertz / 700.0) for hertz in (frequency_hz, 7690.0))
    assert abs(int(band) - (mel / highest * 81 - 1)) < 1.0


@pytest.mark.parametrize("samples", [torch.zeros(2, 800), torch.zeros(800, dtype=torch.int16)])
def test_anything_but_one_float32_row_is_refused(samples: Tensor) -> None:
    with pytest.raises(ValueError, match=r"one float32 row of mono audio · found shape .* · average"):
        log_mel(samples)
