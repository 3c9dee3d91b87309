"""Tags before and behind audio end where the audio begins, or the file ends."""

import pytest

from phi4train.data.media.audio_files.tags import end_of_tags

ID3V2 = b"ID3\x04\0\0\0\0\x01\x02" + bytes(130)
ID3V2_WITH_FOOTER = b"ID3\x04\0\x10\0\0\0\x05" + bytes(15)
ID3V1 = b"TAG" + bytes(125)
APE = b"APETAGEX" + b"\xd0\x07\0\0" + b"\x28\0\0\0" + b"\x01\0\0\0" + b"\0\0\0\xa0" + bytes(8) + bytes(40)
LYRICS = b"LYRICSBEGININD0000200LYRICS200"


@pytest.mark.parametrize("tag", [b"", bytes(99), ID3V2, ID3V2_WITH_FOOTER, ID3V1, APE, LYRICS])
def test_a_tag_ends_before_what_follows(tag: bytes) -> None:
    assert end_of_tags(tag + b"\xff\xfb", 0) == len(tag)
    assert end_of_tags(b"audio" + tag, 5) == 5 + len(tag)


def test_tags_may_follow_each_other_with_zeros_between() -> None:
    tags = ID3V2 + bytes(7) + ID3V2_WITH_FOOTER + APE + LYRICS + ID3V1 + bytes(3)
    assert end_of_tags(tags + b"fLaC", 0) == len(tags)


@pytest.mark.parametrize("content", [b"ID3", b"ID3\x04\0\0\xff\0\0\0ab", b"APETAGEX", b"LYRICSBEGIN", b"TA"])
def test_what_only_looks_like_a_tag_is_none(content: bytes) -> None:
    assert end_of_tags(content, 0) == 0


def test_a_tag_that_is_cut_off_ends_beyond_the_file() -> None:
    assert end_of_tags(ID3V2[:40], 0) == len(ID3V2)
