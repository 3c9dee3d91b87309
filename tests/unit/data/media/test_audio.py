"""Audio: what is refused when it is measured or decoded, and lengths that are exact before decoding."""

import io
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.functional import resample as sinc_resample

from phi4train.data.batches.decoding import SampleDecoder
from phi4train.data.media import audio
from phi4train.data.media.audio import audio_header, decode_audio, resample, resampled_length
from phi4train.data.media.audio_features import num_audio_tokens, num_frames
from phi4train.data.media.limits import Limits
from phi4train.data.media.registry import media_kind
from phi4train.data.order.lengths import measure_lengths
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import SampleError
from tests.unit.data.small_shards import ask, clip, limits_of

LIMITS = limits_of(10_000, max_audio_seconds=30)


def cause_of(content: bytes, limits: Limits = LIMITS) -> str:
    """Why a clip cannot be used, found as `encode` finds it; "" when it can."""
    kind = media_kind("audio")
    try:
        length = kind.slot_length(kind.measure(content), limits)
        assert num_audio_tokens(len(kind.process(content, limits))) == length
    except SampleError as error:
        return error.cause
    return ""


def flac_that_claims(frames: int) -> bytes:
    """A FLAC file of ten thousand frames whose header says otherwise."""
    content = bytearray(clip(10_000, format="FLAC"))
    content[21:26] = (content[21] >> 4 << 36 | frames).to_bytes(5, "big")
    return bytes(content)


def nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(audio, "_read_block", refuse)


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_usual_formats_decode_to_mono_at_16_khz(format: str) -> None:
    content = clip(12_000, 24_000, 2, format)
    assert audio_header(content) == (12_000, 24_000, 2)
    samples = decode_audio(content)
    assert samples.dtype == torch.float32 and samples.shape == (8_000,)
    assert cause_of(content) == ""


def test_channels_are_averaged() -> None:
    stereo = np.stack([np.full(800, 0.5), np.full(800, -0.25)], axis=1)
    buffer = io.BytesIO()
    soundfile.write(buffer, stereo, 16_000, format="WAV", subtype="FLOAT")
    assert decode_audio(buffer.getvalue()).unique().tolist() == [0.125]


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    content = clip(5_000, 8_000, 2)
    whole = decode_audio(content)
    monkeypatch.setattr(audio, "_BLOCK_FRAMES", 700)
    assert torch.equal(decode_audio(content), whole)


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 22_050, 24_000, 44_100, 48_000, 384_000])
def test_resampling_in_blocks_is_resampling(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = torch.randn(10_007, generator=torch.Generator().manual_seed(rate))
    whole = sinc_resample(samples, rate, 16_000)
    monkeypatch.setattr(audio, "_BLOCK_FRAMES", 1_000)
    found = resample(samples, rate)
    assert len(found) == resampled_length(10_007, rate)
    torch.testing.assert_close(found[: len(whole)], whole, rtol=0, atol=1e-6)


def test_a_tone_keeps_its_frequency() -> None:
    for rate in (8_000, 44_100, 44_101):
        tone = torch.sin(2 * torch.pi * 440 * torch.arange(rate) / rate)
        spectrum = torch.fft.rfft(resample(tone, rate)[:16_000]).abs()
        assert abs(int(spectrum.argmax()) - 440) <= 1


def test_the_resampled_length_is_known_before() -> None:
    for frames, rate in ((1, 8_000), (999, 44_100), (44_101, 44_101), (7, 4_000), (123_457, 48_000)):
        assert len(resample(torch.zeros(frames), rate)) == resampled_length(frames, rate)
    # torchaudio computes it in float32 and would lose the last sample of these
    frames = 441 * 900 + pow(160, -1, 441)
    assert len(resample(torch.zeros(frames), 44_100)) == resampled_length(frames, 44_100)
    assert len(resample(torch.zeros(34_000_001), 32_000)) == 17_000_001


def test_an_odd_rate_does_not_take_gigabytes() -> None:
    assert len(resample(torch.zeros(767_999), 767_999)) == 16_000


def cut_riff(content: bytes) -> bytes:
    return content[: len(content) // 2]


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "no bytes": (lambda: b"", "broken_audio"),
    "a picture called wav": (lambda: b"\x89PNG\r\n\x1a\n" + bytes(100), "broken_audio"),
    "a format that libsndfile knows and we do not": (lambda: clip(800, format="AIFF"), "broken_audio"),
    "noise after the magic": (lambda: b"fLaC" + bytes(range(256)) * 4, "broken_audio"),
    "no frames": (lambda: clip(0), "audio_too_short"),
    "less than a frame": (lambda: clip(399), "audio_too_short"),
    "less than a frame at 48 kHz": (lambda: clip(1_197, 48_000), "audio_too_short"),
    "five channels": (lambda: clip(800, channels=5), "bad_channels"),
    "a low rate": (lambda: clip(8_000, 3_999), "bad_sample_rate"),
    "a rate from nowhere": (lambda: clip(8_000, 2_000_000), "bad_sample_rate"),
    "half a wav": (lambda: cut_riff(clip(8_000)), "truncated_audio"),
    "half a flac": (lambda: cut_riff(clip(80_000, format="FLAC")), "truncated_audio"),
    "half an ogg": (lambda: cut_riff(clip(80_000, format="OGG")), "truncated_audio"),
    "half an opus": (lambda: cut_riff(clip(80_000, format="OGG", subtype="OPUS")), "truncated_audio"),
    "half an mp3": (lambda: cut_riff(clip(80_000, format="MP3")), "truncated_audio"),
    "a flac that claims a frame more": (lambda: flac_that_claims(10_001), "truncated_audio"),
    "31 seconds": (lambda: clip(31 * 16_000), "audio_too_long"),
    "a flac that claims ten hours": (lambda: flac_that_claims(36_000 * 16_000), "truncated_audio"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_audio_is_a_sample_error_with_its_cause(case: str) -> None:
    make, cause = HOSTILE[case]
    assert cause_of(make()) == cause


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_values_that_are_no_sound_are_refused(value: float) -> None:
    values = np.zeros(16_000, dtype=np.float32)
    values[7_000] = value
    buffer = io.BytesIO()
    soundfile.write(buffer, values, 16_000, format="WAV", subtype="FLOAT")
    assert cause_of(buffer.getvalue()) == "bad_audio_values"


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3"])
def test_long_clips_are_refused_before_anything_is_decoded(
    format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = clip(8_000, format=format)
    nothing_is_decoded(monkeypatch)
    assert cause_of(content, replace(LIMITS, max_audio_seconds=0.4)) == "audio_too_long"
    with pytest.raises(AssertionError, match="decoded"):
        cause_of(content)


def test_many_channels_of_a_long_file_are_refused_from_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing_is_decoded(monkeypatch)
    monkeypatch.setattr(audio, "MAX_VALUES", 15_999)
    assert cause_of(clip(8_000, channels=2)) == "audio_too_long"
    assert cause_of(clip(8_000, channels=5)) == "bad_channels"


def test_a_wav_from_a_pipe_has_no_length_and_is_used() -> None:
    content, unknown = clip(8_000), b"\xff\xff\xff\xff"
    data = content.index(b"data") + 4
    assert cause_of(content[:4] + unknown + content[8:data] + unknown + content[data + 4 :]) == ""


def test_a_wav_of_a_billion_chunks_is_left_quickly() -> None:
    content = b"RIFF\xff\xff\xff\xffWAVE" + bytes(8) * 10_000_000
    began = time.process_time()
    assert cause_of(content) == "broken_audio"
    assert time.process_time() - began < 2


@pytest.mark.parametrize("seconds", [0.4999, 0.5])
def test_the_limit_of_seconds_is_inclusive(seconds: float) -> None:
    limits = replace(LIMITS, max_audio_seconds=seconds)
    assert cause_of(clip(4_000, 8_000), limits) == ("" if seconds == 0.5 else "audio_too_long")


def test_indexed_tokens_are_decoded_tokens_for_any_length_and_rate(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer
) -> None:
    random = np.random.default_rng(0)
    with ShardWriter(tmp_path / "s") as writer:
        for i in range(60):
            rate = int(random.choice([8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 12_345, 44_101]))
            frames = int(random.integers(rate // 40 + 1, 2 * rate))
            content = clip(frames, rate, int(random.integers(1, 3)), str(random.choice(["WAV", "FLAC"])))
            writer.write(f"a{i:02d}", ask("0.wav"), {"0.wav": content})
    mixture = open_all("s")
    decoder = SampleDecoder(mixture, tokenizer, LIMITS, ShardSource(tmp_path))
    measured = measure_lengths(mixture.shards[0][0], np.arange(60), LIMITS)
    assert (measured.causes == "").all()
    for row, tokens in enumerate(measured.tokens.tolist()):
        decoded = decoder.decode(0, 0, row, 0, tokens)  # raises length_mismatch
        (slot,), (features_FM,) = decoded.branches[0].slots, decoded.media
        assert slot.length == num_audio_tokens(len(features_FM)) and features_FM.shape[1] == 80


def test_the_index_says_why_clips_cannot_be_used(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer
) -> None:
    contents = {
        "short": clip(300),
        "long": clip(40 * 16_000),
        "five": clip(800, channels=5),
        "cut": clip(9_000)[:4_000],
        "png": b"\x89PNG",
        "good": clip(4_000),
    }
    with ShardWriter(tmp_path / "s") as writer:
        for key, content in contents.items():
            writer.write(key, ask("0.wav"), {"0.wav": content})
    mixture = open_all("s")
    measured = measure_lengths(mixture.shards[0][0], np.arange(6), LIMITS)
    assert measured.causes.tolist() == [
        "audio_too_short",
        "audio_too_long",
        "bad_channels",
        "truncated_audio",
        "broken_audio",
        "",
    ]
    assert measured.tokens[-1] == measured.tokens.max() > num_audio_tokens(num_frames(4_000))


def test_runs_without_audio_import_no_audio_library() -> None:
    code = (
        "import sys, phi4train.data.batches.loader\n"
        "from phi4train.data.media.registry import media_kinds; media_kinds()\n"
        "print([name for name in ('soundfile', 'torchaudio') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
