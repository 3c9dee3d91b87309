"""Ogg files that are chained, cut, or have a page too few or too bad."""

import pytest

from phi4train.data.media.audio import audio_header, decode_audio
from phi4train.data.media.audio_files import ogg
from phi4train.errors import SampleError
from tests.unit.data.small_shards import clip

FILES = {codec: clip(40_000, format="OGG", seed=1, subtype=codec.upper()) for codec in ("vorbis", "opus")}


def starts_of(content: bytes) -> list[int]:
    starts = [0]
    while (end := ogg._page(content, starts[-1], 0).end) < len(content):
        starts.append(end)
    return starts


def found_in(content: bytes) -> SampleError:
    with pytest.raises(SampleError) as caught:
        audio_header(content)
    return caught.value


@pytest.mark.parametrize("codec", FILES)
class TestPages:
    def test_whole_files_decode_to_what_was_counted(self, codec: str) -> None:
        for content in (FILES[codec], FILES[codec] + bytes(9), FILES[codec] + b"TAG" + bytes(125)):
            assert audio_header(content).frames == len(decode_audio(content)) == 40_000

    def test_a_second_stream_is_refused_with_its_place(self, codec: str) -> None:
        content = FILES[codec]
        for other in FILES.values():
            error = found_in(content + other)
            assert error.cause == "chained_audio"
            assert f"at byte {len(content)} of {len(content + other)}" in str(error)

    def test_streams_side_by_side_are_refused(self, codec: str) -> None:
        content = FILES[codec]
        second = starts_of(content)[1]
        other = clip(800, format="OGG")
        error = found_in(content[:second] + other[: starts_of(other)[1]] + content[second:])
        assert error.cause == "chained_audio"

    def test_a_missing_page_is_no_shorter_clip(self, codec: str) -> None:
        content = FILES[codec]
        starts = [*starts_of(content), len(content)]
        for page in range(1, len(starts) - 2):
            assert found_in(content[: starts[page]] + content[starts[page + 1] :]).cause == "broken_audio"
        assert found_in(content[: starts[-2]]).cause == "truncated_audio"

    def test_a_damaged_page_is_no_shorter_clip(self, codec: str) -> None:
        content = FILES[codec]
        for start in starts_of(content):
            damaged = bytearray(content)
            damaged[start + 30] ^= 4
            assert found_in(bytes(damaged)).cause in ("broken_audio", "truncated_audio")

    def test_a_cut_file_is_truncated(self, codec: str) -> None:
        content = FILES[codec]
        for length in (len(content) - 1, len(content) - 3_000, starts_of(content)[-1] + 9):
            assert found_in(content[:length]).cause == "truncated_audio"


def test_positions_that_go_back_are_refused() -> None:
    content = bytearray(FILES["vorbis"])
    last = starts_of(bytes(content))[-1]
    content[last + 6 : last + 14] = (5).to_bytes(8, "little")
    content[last + 22 : last + 26] = ogg._checksum(bytes(content[last:])).to_bytes(4, "little")
    assert "at sample 5, behind" in str(found_in(bytes(content)))
