"""Audio as 16 kHz mono samples: untrusted bytes counted and measured, then decoded and resampled.

soundfile is imported when the first clip is opened, torchaudio when the first one must be resampled: runs
without audio pay for neither (torchaudio takes seconds).
"""

import io
import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from phi4train.data.media.audio_features import SAMPLE_RATE_HZ
from phi4train.data.media.audio_files.counting import counted
from phi4train.data.media.audio_files.refusals import broken, truncated
from phi4train.data.media.silence import silent_stderr
from phi4train.errors import SampleError

if TYPE_CHECKING:
    import soundfile

MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 768_000
"""Sample rates beyond these are refused."""
MAX_CHANNELS = 2
MAX_VALUES = 2**30
"""Most frames x channels of a file, whatever `data.max_audio_seconds` says."""
MAX_PEAK = 10.0
"""Full scale is 1; a little more comes from filters and codecs, 32768 from integers stored as floats."""

_FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
_MP3_MAGIC = b"\xff"
_UNBOUNDED = ("FLOAT", "DOUBLE")  # of libsndfile's subtypes: values as they were written
_BLOCK_FRAMES = 2**20
_FILTER_SAMPLES = 8  # torchaudio's filter reaches 6.06 samples of the lower rate to each side
_SMALL_KERNEL_HZ = 25  # multiples of it share at least this factor with 16,000


class AudioHeader(NamedTuple):
    """What a file holds: frames (samples per channel), samples per second, channels."""

    frames: int
    sample_rate: int
    channels: int


def audio_header(content: bytes) -> AudioHeader:
    """Frames, rate and channels of a WAV, FLAC, Ogg or MP3 file, whatever its extension: what decoding gives.

    The frames are counted, see `counted`. Only samples stored as floats are looked at, for their peak.

    Raises:
        SampleError: cause `broken_audio`, `truncated_audio`, `chained_audio`, `bad_channels`,
            `bad_sample_rate`, `audio_too_long` beyond MAX_VALUES, `bad_audio_values`.
    """
    with _opened(content) as file:
        header = _usable_header(file)
        if file.subtype in _UNBOUNDED:
            for _ in _blocks(file):
                pass
    return header


def decode_audio(content: bytes) -> Tensor:
    """All samples at 16 kHz, channels averaged; float32, (samples,).

    Memory beyond the result is one block, whatever the number of channels.

    Raises:
        SampleError: as audio_header; `truncated_audio` when there is less than was counted,
            `bad_audio_values` when a sample is not finite or beyond MAX_PEAK.
    """
    with _opened(content) as file:
        header = _usable_header(file)
        mono = np.empty(header.frames, dtype=np.float32)
        filled = 0
        for block in _blocks(file):
            mono[filled : filled + len(block)] = block.mean(axis=1)
            filled += len(block)
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


@contextmanager
def _opened(content: bytes) -> Iterator["soundfile.SoundFile"]:
    """The file with its header read; its frames are counted."""
    import soundfile

    whole = counted(content)
    with ExitStack() as stack:
        if whole.startswith(_MP3_MAGIC):
            stack.enter_context(silent_stderr())  # libmpg123 prints what it finds in damaged frames
        try:
            file = stack.enter_context(soundfile.SoundFile(io.BytesIO(whole)))
        except Exception as error:  # header parsers raise whatever corrupt bytes lead them to
            raise broken(str(error)) from error
        if file.format not in _FORMATS:
            raise broken(f"a {file.format} file")
        yield file


def _usable_header(file: "soundfile.SoundFile") -> AudioHeader:
    """What an open file holds, within all bounds; nothing is decoded."""
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
            f"{header.frames} x {header.channels} · cut it",
        )
    if header.frames < 0:
        raise broken(f"{header.frames} frames")
    return header


def _blocks(file: "soundfile.SoundFile") -> Iterator[NDArray[np.float32]]:
    """All frames of an open file in blocks, (frames, channels); exactly as many as its header says."""
    filled = 0
    while filled < file.frames:
        block = _read_block(file)
        if len(block) == 0:
            raise truncated(f"{filled} of {file.frames} frames")
        peak = max(float(block.max()), -float(block.min()))
        if not peak <= MAX_PEAK:
            found = f"a peak of {peak:g}" if math.isfinite(peak) else "NaN or infinity"
            raise SampleError(
                "bad_audio_values",
                f"audio must have samples near -1 to 1, at most {MAX_PEAK:g} · found {found} · scale or mend "
                "the clip",
            )
        filled += len(block)
        yield block


def _read_block(file: "soundfile.SoundFile") -> NDArray[np.float32]:
    try:
        block: NDArray[np.float32] = file.read(_BLOCK_FRAMES, dtype="float32", always_2d=True)
    except Exception as error:  # decoders raise whatever corrupt bytes lead them to
        raise broken(str(error)) from error
    return block
