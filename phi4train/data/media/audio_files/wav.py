"""WAV files: the data chunk goes as far as it says, or to the end where it was written to a pipe."""

import struct
from collections.abc import Iterator

from phi4train.data.media.audio_files.refusals import broken, chained, truncated
from phi4train.data.media.audio_files.tags import end_of_tags

_FROM_A_PIPE = 0x7FFFF000
"""Sizes from here on stand for "not known": sox writes this one, others 7FFFFFFF, 80000000 or FFFFFFFF. No
member of a shard is that large."""
_MAX_CHUNKS = 1000
_HEADER_BYTES = 8

_Chunk = tuple[bytes, int, int]
"""Name, and where its content begins and ends."""


def counted_wav(content: bytes) -> bytes:
    """The format and the samples of a WAV file, in sizes that are there; all other chunks are left out.

    Raises:
        SampleError: cause `broken_audio`, `truncated_audio`, or `chained_audio` for a second data chunk.
    """
    if content[8:12] != b"WAVE":
        raise broken("RIFF without WAVE")
    found: dict[bytes, memoryview] = {}
    for name, start, end in _chunks(content):
        if b"data" in found and name in (b"data", b"RIFF"):
            raise chained(f"a second one at byte {start - _HEADER_BYTES} of {len(content)}")
        if end > len(content):
            raise truncated(f"{len(content)} of {end} bytes")
        if name in (b"fmt ", b"data"):
            found.setdefault(name, memoryview(content)[start:end])
    if len(found) < 2:
        raise broken("no format or no data chunk")
    parts: list[bytes | memoryview] = []
    for name in (b"fmt ", b"data"):
        parts += [struct.pack("<4sI", name, len(found[name])), found[name]]
    header = struct.pack("<4sI4s", b"RIFF", 4 + sum(len(part) for part in parts), b"WAVE")
    return b"".join([header, *parts])  # the only copy: of an hour it is 100 MB


def _chunks(content: bytes) -> Iterator[_Chunk]:
    """All chunks of a file up to its tags, the last perhaps reaching beyond its end."""
    position = 12
    for _ in range(_MAX_CHUNKS):
        if end_of_tags(content, position) >= len(content):
            return
        if not _is_name(content[position : position + 4]) or position + _HEADER_BYTES > len(content):
            break
        chunk = _chunk(content, position)
        yield chunk
        _, start, end = chunk
        # an odd chunk has a byte of padding, but not all writers know
        position = end + (end % 2 != start % 2 and not _is_name(content[end : end + 4]))
    raise broken(f"other bytes than a chunk at byte {position} of {len(content)}")


def _chunk(content: bytes, position: int) -> _Chunk:
    name, size = struct.unpack_from("<4sI", content, position)
    start = position + _HEADER_BYTES
    if name == b"data" and (size >= _FROM_A_PIPE or (size == 0 and not _are_chunks(content, start))):
        return name, start, len(content)
    return name, start, start + size


def _are_chunks(content: bytes, position: int) -> bool:
    """Whether all bytes from `position` on are chunks, as behind a data chunk that is empty indeed."""
    while position + _HEADER_BYTES <= len(content) and _is_name(content[position : position + 4]):
        size = int.from_bytes(content[position + 4 : position + _HEADER_BYTES], "little")
        position += _HEADER_BYTES + size + size % 2
    return len(content) <= position <= len(content) + 1


def _is_name(name: bytes) -> bool:
    return len(name) == 4 and name.isascii() and name.decode().isprintable()
