"""Audio as 16 kHz mono samples: untrusted bytes measured by their header, then decoded and resampled.

soundfile is imported when the first clip is opened, torchaudio when the first one must be resampled: runs
without audio pay for neither (torchaudio takes seconds).
"""

import io
import math
import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phi4train.data.media.audio_features import SAMPLE_RATE_HZ
from phi4train.errors import SampleError

if TYPE_CHECKING:
    import soundfile

MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 768_000
"""Sample rates beyond these are refused."""
MAX_CHANNELS = 2
MAX_VALUES = 2**30
"""Most frames x channels of a file, whatever `data.max_audio_seconds` says."""

_MAGIC = (b"RIFF", b"fLaC", b"OggS", b"ID3")  # MP3 without a tag starts with a frame's eleven set bits
_FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
_UNKNOWN_BYTES = 0xFFFFFFFF  # size of a chunk that was written to a pipe
_MAX_CHUNKS = 1000
_OGG_LAST_PAGE = 4
_BLOCK_FRAMES = 2**20
_FILTER_SAMPLES = 8  # torchaudio's filter reaches 6.06 samples of the lower rate to each side
_SMALL_KERNEL_HZ = 25  # multiples of it share at least this factor with 16,000


class AudioHeader(NamedTuple):
    """What a file says of itself: frames (samples per channel), samples per second, channels."""

    frames: int
    sample_rate: int
    channels: int


def audio_header(content: bytes) -> AudioHeader:
    """Frames, rate and channels of a WAV, FLAC, Ogg or MP3 file, whatever its extension; nothing is decoded.

    An MP3 of variable bit rate without a Xing header only lets its length be guessed: it will most likely be
    refused as truncated when it is decoded. Encode such files anew.

    Raises:
        SampleError: cause `broken_audio`, `truncated_audio`, `bad_channels`, `bad_sample_rate`, or
            `audio_too_long` beyond MAX_VALUES.
    """
    with _open(content) as file:
        header = AudioHeader(file.frames, file.samplerate, file.channels)
    if not 1 <= header.channels <= MAX_CHANNELS:
        raise SampleError(
            "bad_channels", f"audio must have 1 or 2 channels · found {header.channels} · mix it down before"
        )
    if not MIN_RATE_HZ <= header.sample_rate <= MAX_RATE_HZ:
        raise SampleError(
            "bad_sample_rate",
            f"audio must have {MIN_RATE_HZ} to {MAX_RATE_HZ} samples a second · found {header.sample_rate} · "
            "resample it before",
        )
    if header.frames * header.channels > MAX_VALUES:
        raise SampleError(
            "audio_too_long",
            f"audio must have at most {MAX_VALUES} values over all channels · found "
            f"{header.frames} x {header.channels} in its header · cut it, or write a header that "
            "knows its length",
        )
    return header


def decode_audio(content: bytes) -> Tensor:
    """All samples at 16 kHz, channels averaged; float32, (samples,).

    Memory beyond the result is one block, whatever the number of channels.

    Raises:
        SampleError: as audio_header; `truncated_audio` when there is less than the header says,
            `bad_audio_values` when a sample is not finite.
    """
    header = audio_header(content)
    mono = np.empty(header.frames, dtype=np.float32)
    filled = 0
    with _open(content) as file:
        while filled < header.frames:
            block = _read_block(file)
            if len(block) == 0:
                raise _truncated(f"{filled} of {header.frames} frames")
            mono[filled : filled + len(block)] = block.mean(axis=1)
            filled += len(block)
    if not np.isfinite(mono).all():
        raise SampleError(
            "bad_audio_values", "audio must have finite samples · found NaN or infinity · mend the clip"
        )
    return resample(torch.from_numpy(mono), header.sample_rate)


def resampled_length(frames: int, sample_rate: int) -> int:
    """Samples at 16 kHz of a clip of `frames` at `sample_rate`: ceil(16000 * frames / sample_rate)."""
    return -(-frames * SAMPLE_RATE_HZ // _used_rate(sample_rate))


def resample(samples: Tensor, sample_rate: int) -> Tensor:
    """Float32 samples at 16 kHz, exactly `resampled_length` of them.

    Works in blocks that overlap by the filter's width: torchaudio would copy the whole clip twice.
    """
    rate = _used_rate(sample_rate)
    if rate == SAMPLE_RATE_HZ:
        return samples
    from torchaudio.functional import resample as sinc_resample

    common = math.gcd(rate, SAMPLE_RATE_HZ)
    step, new_step = rate // common, SAMPLE_RATE_HZ // common  # so many samples become so many
    margin = -(-_FILTER_SAMPLES * max(step, new_step) // new_step // step) * step
    block = -(-_BLOCK_FRAMES // step) * step
    resampled = torch.empty(resampled_length(len(samples), sample_rate))
    for start in range(0, len(samples), block):
        left = min(start, margin)
        piece = samples[start - left : start + block + margin]
        # as torchaudio's own padding, but longer: it rounds the length of its output to float32
        piece = torch.nn.functional.pad(piece, (0, margin + step))
        first = start // step * new_step
        target = resampled[first : first + block // step * new_step]
        skipped = left // step * new_step
        target.copy_(sinc_resample(piece, step, new_step)[skipped : skipped + len(target)])
    return resampled


def _used_rate(sample_rate: int) -> int:
    """The rate that a clip is resampled from.

    The filter bank grows with the rates divided by their common factor: from 44,101 Hz it would take 3 GB.
    Rates that share too small a factor are taken as the nearest multiple of 25 Hz, wrong by at most 0.3 %.
    """
    if math.gcd(sample_rate, SAMPLE_RATE_HZ) >= _SMALL_KERNEL_HZ:
        return sample_rate
    return round(sample_rate / _SMALL_KERNEL_HZ) * _SMALL_KERNEL_HZ


def _open(content: bytes) -> "soundfile.SoundFile":
    """The file with its header read."""
    import soundfile

    if not content.startswith(_MAGIC) and not (content[:1] == b"\xff" and content[1:2] >= b"\xe0"):
        raise _broken("other first bytes")  # libsndfile would try its parsers for thirty more formats
    _require_all_bytes(content)
    try:
        file = soundfile.SoundFile(io.BytesIO(content))
    except Exception as error:  # header parsers raise whatever corrupt bytes lead them to
        raise _broken(str(error)) from error
    if file.format not in _FORMATS:
        file.close()
        raise _broken(f"a {file.format} file")
    return file


def _require_all_bytes(content: bytes) -> None:
    """Refuses a WAV or Ogg file whose end is missing: libsndfile takes it for a shorter clip."""
    if content.startswith(b"OggS"):
        last_page = content.rfind(b"OggS")
        flags = content[last_page + 5 : last_page + 6]
        if not flags or not flags[0] & _OGG_LAST_PAGE:
            raise _truncated("no last page")
    if content.startswith(b"RIFF"):
        end = _end_of_wav_data(content)
        if end > len(content) + 1:  # a missing byte of padding is no loss
            raise _truncated(f"{len(content)} of {end} bytes")


def _end_of_wav_data(content: bytes) -> int:
    """Where the samples of a WAV file should end; 0 when its chunks do not say."""
    position = 12
    for _ in range(_MAX_CHUNKS):
        if position + 8 > len(content):
            break
        name, size = struct.unpack_from("<4sI", content, position)
        if name == b"data":
            return 0 if size == _UNKNOWN_BYTES else position + 8 + size
        position += 8 + size + size % 2
    return 0


def _read_block(file: "soundfile.SoundFile") -> NDArray[np.float32]:
    try:
        block: NDArray[np.float32] = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
    except Exception as error:  # decoders raise whatever corrupt bytes lead them to
        raise _broken(str(error)) from error
    return block


def _broken(found: str) -> SampleError:
    return SampleError(
        "broken_audio",
        f"audio must be a readable WAV, FLAC, Ogg or MP3 file · found {found} · replace the clip",
    )


def _truncated(found: str) -> SampleError:
    return SampleError(
        "truncated_audio", f"audio must be as long as its header says · found {found} · replace the clip"
    )
