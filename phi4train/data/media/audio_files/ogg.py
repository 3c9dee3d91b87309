"""Ogg files: every page of one stream, whole and in order, so that the last one's position holds."""

import struct
import zlib
from typing import NamedTuple

from phi4train.data.media.audio_files.refusals import broken, chained, truncated
from phi4train.data.media.audio_files.tags import end_of_tags

_HEADER = struct.Struct("<4sBBqIIIB")
_CHECKSUM = slice(22, 26)
_CONTINUES, _BEGINS, _ENDS = 1, 2, 4
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))
_NO_PACKET_ENDS = -1


class _Page(NamedTuple):
    """One page: where it ends, its flags, the position in samples after it, its stream and its number."""

    end: int
    flags: int
    position: int
    stream: int
    number: int


def counted_ogg(content: bytes) -> bytes:
    """The Ogg file, of which no page is missing or damaged; no packet is decoded.

    Raises:
        SampleError: cause `broken_audio`, `truncated_audio`, or `chained_audio` for more streams than one.
    """
    first = page = _page(content, 0, 0)
    position = max(page.position, 0)
    number = 0
    while not page.flags & _ENDS:
        start = page.end
        number += 1
        if start == len(content):
            raise truncated(f"no last page in {start} bytes")
        page = _page(content, start, number)
        if page.flags & _BEGINS or page.stream != first.stream:
            raise chained(f"a second one at byte {start} of {len(content)}")
        if page.number != (first.number + number) % 2**32:
            raise broken(f"page {page.number} where page {first.number + number} should be")
        if page.position != _NO_PACKET_ENDS:
            if page.position < position:
                raise broken(f"page {page.number} at sample {page.position}, behind {position}")
            position = page.position
    rest = end_of_tags(content, page.end)
    if rest < len(content):
        is_page = content.startswith(b"OggS", rest)
        found = f"at byte {rest} of {len(content)}"
        raise chained(f"a second one {found}") if is_page else broken(f"other bytes than a page {found}")
    return content


def _page(content: bytes, start: int, number: int) -> _Page:
    """The page at `start`, the file's `number`-th; its checksum holds."""
    header_end = start + _HEADER.size
    if header_end > len(content):
        raise truncated(f"the header of page {number} cut off at byte {len(content)}")
    magic, version, flags, position, stream, page_number, checksum, segments = _HEADER.unpack_from(
        content, start
    )
    if magic != b"OggS" or version:
        raise broken(f"other bytes than a page at byte {start} of {len(content)}")
    end = header_end + segments + sum(content[header_end : header_end + segments])
    if end > len(content):
        raise truncated(f"{len(content) - start} of {end - start} bytes of page {number}")
    if _checksum(content[start:end]) != checksum:
        raise broken(f"page {number} with another checksum")
    return _Page(end, flags, position, stream, page_number)


def _checksum(page: bytes) -> int:
    """Ogg's CRC of a page without its own: that of zlib with all bits in reverse, begun at 0."""
    crc = 0xFFFFFFFF
    for part in (page[: _CHECKSUM.start], bytes(4), page[_CHECKSUM.stop :]):
        crc = zlib.crc32(part.translate(_REVERSED), crc)
    return int(f"{crc ^ 0xFFFFFFFF:032b}"[::-1], 2)
