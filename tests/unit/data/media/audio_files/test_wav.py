"""WAV files whose sizes are not known, not true, or in the way."""

import io
import struct

import numpy as np
import pytest
import soundfile
import torch

from phi4train.data.media.audio import audio_header, decode_audio
from phi4train.data.media.audio_files.wav import counted_wav
from phi4train.errors import SampleError
from tests.unit.data.small_shards import clip

WHOLE = clip(8_000)
DATA = WHOLE.index(b"data")


def with_data_size(size: int, content: bytes = WHOLE) -> bytes:
    return content[: DATA + 4] + struct.pack("<I", size) + content[DATA + 8 :]


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack("<4sI", name, len(content)) + content


def cause_of(content: bytes) -> str:
    with pytest.raises(SampleError) as caught:
        audio_header(content)
    return caught.value.cause


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x7FFFFFFF, 0x80000000, 0x80000024, 0xFFFFFFDB, 0xFFFFFFFF])
def test_a_size_from_a_pipe_means_to_the_end(size: int) -> None:
    content = with_data_size(size)
    assert audio_header(content).frames == 8_000
    assert torch.equal(decode_audio(content), decode_audio(WHOLE))
    riff = content[:4] + struct.pack("<I", size) + content[8:]
    assert torch.equal(decode_audio(riff), decode_audio(WHOLE))


@pytest.mark.parametrize("rest", [b"", chunk(b"LIST", b"INFO")])
def test_an_empty_data_chunk_before_others_is_empty(rest: bytes) -> None:
    content = with_data_size(0)[: DATA + 8] + rest
    assert audio_header(content).frames == 0


@pytest.mark.parametrize("missing", [1, 2, 5_000])
def test_what_is_shorter_than_its_size_is_truncated(missing: int) -> None:
    assert cause_of(WHOLE[:-missing]) == "truncated_audio"


@pytest.mark.parametrize("size", [15_000, 15_001, 4])
def test_what_is_longer_than_its_size_is_refused(size: int) -> None:
    assert cause_of(with_data_size(size)) in ("broken_audio", "truncated_audio")


def test_a_second_file_behind_is_refused() -> None:
    assert cause_of(WHOLE + WHOLE) == "chained_audio"
    assert cause_of(WHOLE + WHOLE[DATA:]) == "chained_audio"


@pytest.mark.parametrize("padding", [b"", b"\0"])
def test_odd_chunks_may_be_padded_or_not(padding: bytes) -> None:
    content = WHOLE[:12] + chunk(b"LIST", b"odd") + padding + WHOLE[12:]
    assert torch.equal(decode_audio(content), decode_audio(WHOLE))
    odd = clip(801, subtype="PCM_U8")
    odd = odd[: odd.index(b"data") + 8 + 801]
    for rest in (b"", padding, padding + chunk(b"LIST", b"INFO"), padding + chunk(b"id3 ", b"odd") + padding):
        assert audio_header(odd + rest).frames == 801


@pytest.mark.parametrize(
    "rest", [b"", bytes(7), bytes(900), b"TAG" + bytes(125), chunk(b"bext", bytes(602)), b"ID3\4" + bytes(6)]
)
def test_chunks_zeros_and_tags_behind_are_no_audio(rest: bytes) -> None:
    assert torch.equal(decode_audio(WHOLE + rest), decode_audio(WHOLE))


@pytest.mark.parametrize(
    "subtype", ["PCM_U8", "PCM_24", "FLOAT", "DOUBLE", "ULAW", "IMA_ADPCM", "MS_ADPCM", "GSM610"]
)
def test_every_coding_decodes_to_the_frames_that_are_counted(subtype: str) -> None:
    content = clip(8_000, subtype=subtype)
    assert len(decode_audio(content)) == audio_header(content).frames >= 8_000


def test_only_format_and_samples_are_left() -> None:
    content = WHOLE[:12] + chunk(b"LIST", b"INFO") + WHOLE[12:] + chunk(b"bext", bytes(602))
    assert counted_wav(content) == counted_wav(WHOLE) == WHOLE


def test_a_partial_frame_at_the_end_of_a_pipe_is_left_out() -> None:
    assert audio_header(with_data_size(0xFFFFFFFF)[:-1]).frames == 7_999


@pytest.mark.parametrize("peak", [10.5, 32_767.0])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_integers_stored_as_floats_are_refused_when_measured(peak: float, subtype: str) -> None:
    values = np.zeros((4_000, 2))
    values[3_000, 1] = -peak
    buffer = io.BytesIO()
    soundfile.write(buffer, values, 16_000, format="WAV", subtype=subtype)
    for use in (audio_header, decode_audio):
        with pytest.raises(SampleError, match=rf"at most 10 · found a peak of {peak:g} ·") as caught:
            use(buffer.getvalue())
        assert caught.value.cause == "bad_audio_values"
