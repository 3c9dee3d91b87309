"""FLAC files whose header knows no total, or another one than their frames."""

import pytest
import torch

from phi4train.data.media import audio
from phi4train.data.media.audio import audio_header, decode_audio
from phi4train.data.media.audio_files import flac
from phi4train.data.media.audio_files.flac import counted_flac
from phi4train.errors import SampleError
from tests.unit.data.small_shards import clip

WHOLE = clip(10_001, format="FLAC")


def with_total(frames: int, content: bytes = WHOLE) -> bytes:
    total = (content[21] >> 4 << 36 | frames).to_bytes(5, "big")
    return content[:21] + total + content[26:]


def cause_of(content: bytes) -> str:
    with pytest.raises(SampleError) as caught:
        audio_header(content)
    return caught.value.cause


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 16_000, 12_345, 48_000])
@pytest.mark.parametrize("frames", [100, 4_096, 8_192, 10_001, 700_000])
def test_the_last_frame_counts(frames: int, rate: int, channels: int) -> None:
    content = clip(frames, rate, channels, "FLAC")
    assert counted_flac(content) == content == counted_flac(with_total(0, content))
    assert counted_flac(with_total(frames - 1, content)) == content


@pytest.mark.parametrize("total", [0, 1, 1_000, 4_096, 10_000])
def test_an_unknown_total_or_too_small_a_one_loses_nothing(total: int) -> None:
    content = with_total(total)
    assert audio_header(content).frames == 10_001
    assert torch.equal(decode_audio(content), decode_audio(WHOLE))


@pytest.mark.parametrize("total", [10_002, 20_000, 2**36 - 1])
def test_a_total_beyond_the_frames_is_a_missing_end(total: int) -> None:
    with pytest.raises(SampleError, match=rf"found 10001 of {total} frames") as caught:
        audio_header(with_total(total))
    assert caught.value.cause == "truncated_audio"


def test_a_missing_end_is_found_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "_read_block", None)
    assert cause_of(WHOLE[: len(WHOLE) // 2]) == "truncated_audio"


def test_a_cut_or_damaged_frame_without_a_total_is_no_shorter_clip() -> None:
    content = with_total(0)
    damaged = content[:9_000] + bytes(40) + content[9_040:]
    for wrong in (content[:-40], damaged):
        assert audio_header(wrong).frames == 10_001
        with pytest.raises(SampleError, match=r"found ") as caught:
            decode_audio(wrong)
        assert caught.value.cause in ("broken_audio", "truncated_audio")


def test_a_last_frame_that_claims_a_far_place_is_refused_before_anything_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audio, "_read_block", None)
    last = next(i for i in range(len(WHOLE) - 1, 0, -1) if flac._frame(WHOLE, i))
    checksum = next(i for i in range(last + 5, last + 12) if flac._crc8(WHOLE[last:i]) == WHOLE[i])
    header = WHOLE[last : last + 4] + chr(1_000_000).encode() + WHOLE[last + 5 : checksum]
    content = WHOLE[:last] + header + bytes([flac._crc8(header)]) + WHOLE[checksum + 1 :]
    assert cause_of(with_total(0, content)) == "audio_too_long"


def test_tags_around_are_no_audio() -> None:
    content = b"ID3\4\0\0\0\0\0\5" + bytes(5) + WHOLE + b"TAG" + bytes(125)
    assert torch.equal(decode_audio(content), decode_audio(WHOLE))


def test_a_second_file_behind_is_refused() -> None:
    assert cause_of(WHOLE + WHOLE) == "chained_audio"
    assert cause_of(with_total(0) + WHOLE) == "chained_audio"


@pytest.mark.parametrize("length", [4, 30, 42, 60])
def test_a_file_that_ends_before_its_frames_is_broken(length: int) -> None:
    assert cause_of(WHOLE[:length]) in ("broken_audio", "truncated_audio")


def test_many_false_frames_are_left_quickly() -> None:
    assert cause_of(WHOLE[:9_000] + b"\xff\xf8" * 2_000_000) == "broken_audio"
