"""MP3 files with and without a frame that counts, between tags, cut, and one behind the other."""

import pytest
import torch

from phi4train.data.media.audio import audio_header, decode_audio
from phi4train.data.media.audio_files import mp3
from phi4train.errors import SampleError
from tests.unit.data.small_shards import clip

DECODER_DELAY = 529
ID3V2 = b"ID3\x04\0\0\0\0\x02\x01" + b"\xff\xfb\x90" * 85 + b"xx"
ID3V1 = b"TAG" + bytes(125)


def without_info(content: bytes) -> bytes:
    return content[mp3._frame_bytes(content[:3]) :]


def num_frames(content: bytes) -> int:
    """Frames of audio, counted in another way than by the module: from size to size."""
    position = frames = 0
    while position < len(content):
        position += mp3._frame_bytes(content[position : position + 3])
        frames += 1
    return frames


def cause_of(content: bytes) -> str:
    with pytest.raises(SampleError) as caught:
        audio_header(content)
    return caught.value.cause


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE", "AVERAGE"])
def test_a_file_without_an_info_frame_is_as_long_as_its_frames(mode: str, rate: int, channels: int) -> None:
    whole = clip(rate, rate, channels, "MP3", bitrate_mode=mode)
    assert audio_header(whole) == (rate, rate, channels)  # what the encoder added at both ends is left off
    cut = without_info(whole)
    per_frame = 1152 if rate >= 32_000 else 576
    header = audio_header(cut)
    assert header.frames == num_frames(cut) * per_frame - DECODER_DELAY
    assert header.frames > rate
    for tagged in (ID3V2 + cut, cut + ID3V1, ID3V2 + bytes(50) + cut + bytes(20) + ID3V1):
        assert audio_header(tagged) == header
    samples = decode_audio(cut)
    assert torch.equal(decode_audio(ID3V2 + cut + ID3V1), samples)


def test_only_the_silence_of_the_encoder_is_more() -> None:
    whole = clip(16_000, format="MP3", bitrate_mode="VARIABLE")
    samples = decode_audio(without_info(whole))
    assert torch.equal(samples[576 : 576 + 16_000], decode_audio(whole))


@pytest.mark.parametrize("info", [True, False])
def test_a_cut_file_is_truncated(info: bool) -> None:
    whole = clip(16_000, format="MP3")
    content = whole if info else without_info(whole)
    assert cause_of(content[:-1]) == "truncated_audio"
    assert cause_of(content[: len(content) // 2 + 1]) == "truncated_audio"


def test_an_info_frame_that_promises_more_is_a_missing_end() -> None:
    whole = clip(16_000, format="MP3")
    frames = num_frames(without_info(whole))
    assert cause_of(mp3._info_frame(whole[:4], frames + 1, b"") + without_info(whole)) == "truncated_audio"
    last = frames - 1
    position = mp3._frame_bytes(whole[:3])
    for _ in range(last):
        position += mp3._frame_bytes(whole[position : position + 3])
    with pytest.raises(SampleError, match=f"found {last} of {frames} frames of MPEG"):
        audio_header(whole[:position])


@pytest.mark.parametrize("promised", [0, 1, 5])
def test_an_info_frame_that_promises_less_loses_nothing(promised: int) -> None:
    cut = without_info(clip(16_000, format="MP3"))
    content = mp3._info_frame(cut[:4], promised, b"") + cut
    assert torch.equal(decode_audio(content), decode_audio(cut))


def test_a_vbri_frame_counts_too() -> None:
    cut = without_info(clip(16_000, format="MP3"))
    size = mp3._frame_bytes(cut[:3])
    for frames, cause in ((num_frames(cut), ""), (num_frames(cut) + 1, "truncated_audio")):
        vbri = cut[:4] + bytes(32) + b"VBRI" + bytes(10) + frames.to_bytes(4, "big")
        content = vbri.ljust(size, b"\0") + cut
        if cause:
            assert cause_of(content) == cause
        else:
            assert torch.equal(decode_audio(content), decode_audio(cut))


def test_a_second_file_behind_is_played_or_refused() -> None:
    whole = clip(16_000, format="MP3")
    cut = without_info(whole)
    assert audio_header(cut + cut).frames == 2 * num_frames(cut) * 576 - DECODER_DELAY
    assert audio_header(whole + whole).frames > 32_000
    for tag in (ID3V1, ID3V2):
        assert cause_of(cut + tag + cut) == "chained_audio"


@pytest.mark.parametrize("other", [{"rate": 24_000}, {"channels": 2}, {"rate": 44_100}])
def test_a_stream_that_changes_is_refused(other: dict[str, int]) -> None:
    cut = without_info(clip(16_000, format="MP3"))
    assert cause_of(cut + without_info(clip(24_000, format="MP3", **other))) == "broken_audio"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "header", [b"\xff\xfb\x00\xc4", b"\xff\xfb\xf0\xc4", b"\xff\xfd\x90\xc4", b"\xff\xe0"]
)
def test_frames_of_other_layers_and_of_unknown_size_are_refused(header: bytes) -> None:
    assert cause_of(header + bytes(2_000)) == "broken_audio"


def test_bytes_between_frames_are_refused_with_their_place() -> None:
    cut = without_info(clip(16_000, format="MP3"))
    size = mp3._frame_bytes(cut[:3])
    with pytest.raises(SampleError, match=f"other bytes than a frame at byte {size} of"):
        audio_header(cut[:size] + b"junk" + cut[size:])
