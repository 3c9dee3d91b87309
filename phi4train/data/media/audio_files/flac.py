"""FLAC files: the number in the last frame's header says how many samples there are."""

import re
from typing import NamedTuple

from phi4train.data.media.audio_files.refusals import broken, chained, truncated

_BEGIN = re.compile(rb"fLaC[\0\x80]\0\0\x22")  # magic and the header of the stream info
_STREAM_INFO = slice(8, 42)
_TOTAL = slice(21, 26)  # and the lower half of its first byte's bits: 36 bits
_MAX_FRAME_BYTES = 2**24
_MAX_CANDIDATES = 10_000
_BLOCKS = {1: 192, **{2 + i: 576 << i for i in range(4)}, **{8 + i: 256 << i for i in range(8)}}
_BYTES_OF_BLOCK = {6: 1, 7: 2}  # sizes of blocks that follow the header's number
_BYTES_OF_RATE = {12: 1, 13: 2, 14: 2}


class _Frame(NamedTuple):
    """What a header says: number of the frame (of its first sample where blocks differ) and its samples."""

    number: int
    samples: int


def counted_flac(content: bytes) -> bytes:
    """The FLAC file with the total of samples that its frames have; no frame is decoded.

    Raises:
        SampleError: cause `broken_audio`, `truncated_audio` when the header promises more, `chained_audio`.
    """
    second = _BEGIN.search(content, 4)
    if second:
        raise chained(f"a second one at byte {second.start()} of {len(content)}")
    start = _end_of_metadata(content)
    first = _frame(content, start)
    if first is None:
        raise broken(f"no frame at byte {start} of {len(content)}")
    last_frame = _last_frame(content, start)
    equal_blocks = not content[start + 1] & 1
    counted = (last_frame.number - first.number) * (first.samples if equal_blocks else 1) + last_frame.samples
    promised = int.from_bytes(content[_TOTAL], "big") & 0xFFFFFFFFF
    if counted < promised:
        raise truncated(f"{counted} of {promised} frames")
    if counted == promised:
        return content
    if counted >> 36:
        raise broken(f"a last frame that ends at {counted}")
    total = (content[_TOTAL.start] >> 4 << 36 | counted).to_bytes(5, "big")
    return content[: _TOTAL.start] + total + content[_TOTAL.stop :]


def _end_of_metadata(content: bytes) -> int:
    """Where the frames begin."""
    position, is_last = 4, False
    if not _BEGIN.match(content) or len(content) < _STREAM_INFO.stop:
        raise broken("no stream info")
    while not is_last:
        if position + 4 > len(content):
            raise truncated(f"{len(content)} bytes, all of them metadata")
        is_last = bool(content[position] & 0x80)
        position += 4 + int.from_bytes(content[position + 1 : position + 4], "big")
    return position


def _last_frame(content: bytes, start: int) -> _Frame:
    """The frame whose header comes last; `start` is where the first one lies, and may be the one."""
    position, end = len(content), max(start, len(content) - _MAX_FRAME_BYTES)
    for _ in range(_MAX_CANDIDATES):
        position = content.rfind(content[start : start + 2], end, position + 1)
        if position < 0:
            break
        frame = _frame(content, position)
        if frame is not None and _is_of_stream(content, position, start):
            return frame
    raise broken(f"no frame in its last {len(content) - end} bytes")


def _is_of_stream(content: bytes, position: int, start: int) -> bool:
    """Whether the frame at `position` has the rate and the sample size of the frame at `start`."""
    same_rate = (content[position + 2] ^ content[start + 2]) & 0x0F == 0
    return same_rate and (content[position + 3] ^ content[start + 3]) & 0x0F == 0


def _frame(content: bytes, position: int) -> _Frame | None:
    """The header at `position`; None when there is none, or its checksum is another."""
    header = content[position : position + 16]
    if len(header) < 6 or header[0] != 0xFF or header[1] & 0xFE != 0xF8 or header[3] & 1:
        return None
    block_code, rate_code = header[2] >> 4, header[2] & 0x0F
    size = _number_bytes(header[4])
    end = 4 + size
    end_of_block = end + _BYTES_OF_BLOCK.get(block_code, 0)
    checksum_at = end_of_block + _BYTES_OF_RATE.get(rate_code, 0)
    if not size or checksum_at >= len(header) or _crc8(header[:checksum_at]) != header[checksum_at]:
        return None
    samples = _BLOCKS.get(block_code) or int.from_bytes(header[end:end_of_block], "big") + 1
    return _Frame(_number(header[4:end]), samples)


def _number_bytes(first: int) -> int:
    """Bytes of a number coded as UTF-8 codes letters, from its first byte; 0 when it cannot be one."""
    leading = 8 - (first ^ 0xFF).bit_length()
    return {0: 1, 1: 0, 8: 0}.get(leading, leading)


def _number(coded: bytes) -> int:
    value = coded[0] & (0xFF >> (len(coded) + (len(coded) > 1)))
    for byte in coded[1:]:
        value = value << 6 | byte & 0x3F
    return value


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x107 if crc & 0x80 else 0)) & 0x1FF
    return crc
