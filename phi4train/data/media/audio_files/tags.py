"""Tags before and behind the audio of a file."""

import re

_ZEROS = re.compile(rb"\0*")
_ID3V1_BYTES = 128
_APE_HEADER_BYTES = 32
_LYRICS_END = re.compile(rb"LYRICS(200|END)")


def end_of_tags(content: bytes, position: int) -> int:
    """Where the tags (ID3, APE, Lyrics3) and zeros that begin at `position` end, perhaps beyond the file."""
    while position < len(content):
        end = _end_of_tag(content, _end_of_zeros(content, position))
        if end == position:
            break
        position = end
    return position


def _end_of_zeros(content: bytes, position: int) -> int:
    zeros = _ZEROS.match(content, position)
    return zeros.end() if zeros else position


def _end_of_tag(content: bytes, position: int) -> int:
    """Where the tag at `position` ends; `position` when there is none."""
    start = content[position : position + 32]
    if start[:3] == b"ID3" and len(start) >= 10 and max(start[6:10]) < 0x80:
        size = start[6] << 21 | start[7] << 14 | start[8] << 7 | start[9]
        return position + 10 + size + (10 if start[5] & 0x10 else 0)
    if start[:3] == b"TAG":
        return position + _ID3V1_BYTES
    if start[:8] == b"APETAGEX" and len(start) == _APE_HEADER_BYTES:
        is_header = start[23] & 0x20
        return position + _APE_HEADER_BYTES + (int.from_bytes(start[12:16], "little") if is_header else 0)
    if start[:11] == b"LYRICSBEGIN" and (end := _LYRICS_END.search(content, position + 11)):
        return end.end()
    return position
