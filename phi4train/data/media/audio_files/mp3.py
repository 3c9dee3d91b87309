"""MP3 files: frames counted from header to header, and the decoder told their number.

Most files begin with an Info (or Xing) frame that counts. Without one libsndfile takes the first frame's size
for that of all, which is wrong wherever the bit rate varies; so each file is decoded behind a new one.
"""

from functools import lru_cache
from typing import NamedTuple

from phi4train.data.media.audio_files.refusals import broken, chained, truncated
from phi4train.data.media.audio_files.tags import end_of_tags

_MPEG1, _LAYER3 = 3, 1
_SAMPLE_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KILOBITS = {
    True: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_STREAM_BITS = 0xFFFE0C00  # of a header: sync, version, layer and sample rate
_MONO = 0xC0
_VBRI = slice(36, 40)
_HAS_COUNT = 1
_FIELD_BYTES = {1: 4, 2: 4, 4: 100, 8: 4}
"""By flag of an Info frame, the bytes of the field that it announces: frames, bytes, table, quality."""
_ENCODER_BYTES = 24  # name and settings of the encoder; the last three say what to drop at both ends


class _Info(NamedTuple):
    """What the first frame says of the file: frames, 0 where it does not say, and the encoder's part."""

    frames: int
    encoder: bytes


def counted_mp3(content: bytes) -> bytes:
    """The frames of an MP3 file, without tags, behind an Info frame that counts them; nothing is decoded.

    Raises:
        SampleError: cause `broken_audio`, `truncated_audio` when a frame is cut or the Info frame promises
            more, `chained_audio` when there are frames behind a tag.
    """
    size = _frame_bytes(content[:3])
    if not size:
        raise broken("no frame of MPEG layer 3 whose bit rate is known")
    info = _info(content[:size])
    start = 0 if info is None else size
    frames, end = _walk(content, start, int.from_bytes(content[:4], "big"))
    promised, encoder = info or _Info(0, b"")
    if frames < promised:
        raise truncated(f"{frames} of {promised} frames of MPEG")
    info_frame = _info_frame(content[:4], frames, encoder if frames == promised else b"")
    return info_frame + content[start:end]


def _walk(content: bytes, position: int, first_header: int) -> tuple[int, int]:
    """Frames from `position` on, and where the last one ends; behind it there may only be tags."""
    frames, stream, is_mono = 0, first_header & _STREAM_BITS, first_header & _MONO == _MONO
    while position < len(content):
        header = content[position : position + 4]
        value = int.from_bytes(header, "big")
        if len(header) < 4 and header[0] == 0xFF:
            raise truncated(f"{len(header)} bytes of frame {frames}")
        size = _frame_bytes(header[:3])
        if not size or value & _STREAM_BITS != stream or (value & _MONO == _MONO) != is_mono:
            break
        if position + size > len(content):
            raise truncated(f"{len(content) - position} of {size} bytes of frame {frames}")
        position += size
        frames += 1
    rest = end_of_tags(content, position)
    if rest < len(content):
        found = f"at byte {rest} of {len(content)}"
        is_frame = rest > position and _frame_bytes(content[rest : rest + 3])
        raise chained(f"a second one {found}") if is_frame else broken(f"other bytes than a frame {found}")
    return frames, position


@lru_cache(maxsize=4096)
def _frame_bytes(header: bytes) -> int:
    """Bytes of the frame whose header begins with these three; 0 when it is none."""
    if len(header) < 3 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return 0
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3
    rate_code, bits_code = header[2] >> 2 & 3, header[2] >> 4
    if version not in _SAMPLE_RATES or layer != _LAYER3 or rate_code == 3 or bits_code in (0, 15):
        return 0
    is_mpeg1 = version == _MPEG1
    bits = 1000 * _KILOBITS[is_mpeg1][bits_code - 1]
    return (144 if is_mpeg1 else 72) * bits // _SAMPLE_RATES[version][rate_code] + (header[2] >> 1 & 1)


def _side_bytes(header: bytes) -> int:
    """Bytes of the header and of what comes before a frame's data."""
    is_mpeg1, is_mono = header[1] >> 3 & 3 == _MPEG1, header[3] & _MONO == _MONO
    checksum_bytes = 0 if header[1] & 1 else 2
    return (
        4
        + checksum_bytes
        + (9 if is_mono else 17 if not is_mpeg1 else 32)
        + (8 if is_mpeg1 and is_mono else 0)
    )


def _info(frame: bytes) -> _Info | None:
    """What an Info, Xing or VBRI frame says; None when it is a frame of audio."""
    if frame[_VBRI] == b"VBRI":
        return _Info(int.from_bytes(frame[_VBRI.stop + 10 : _VBRI.stop + 14], "big"), b"")
    start = _side_bytes(frame)
    if frame[start : start + 4] not in (b"Xing", b"Info"):
        return None
    flags = int.from_bytes(frame[start + 4 : start + 8], "big")
    frames = int.from_bytes(frame[start + 8 : start + 12], "big") if flags & _HAS_COUNT else 0
    encoder_at = start + 8 + sum(size for flag, size in _FIELD_BYTES.items() if flags & flag)
    return _Info(frames, frame[encoder_at : encoder_at + _ENCODER_BYTES])


def _info_frame(header: bytes, frames: int, encoder: bytes) -> bytes:
    """A frame that only counts, of the stream that `header` is from; large enough at the highest bit rate."""
    own_header = bytes([0xFF, header[1] | 1, header[2] & 0x0C | 0xE0, header[3]])
    count = b"Info" + _HAS_COUNT.to_bytes(4, "big") + frames.to_bytes(4, "big") + encoder
    return (own_header.ljust(_side_bytes(own_header), b"\0") + count).ljust(
        _frame_bytes(own_header[:3]), b"\0"
    )
