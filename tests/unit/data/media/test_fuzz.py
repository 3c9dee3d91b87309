"""Damaged files of every kind: a bad sample, or one that decodes to what was measured; nothing is printed."""

import io
import os
import random
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image

from phi4train.data.media.kind import CountsTokens
from phi4train.data.media.registry import kind_of_extension
from phi4train.errors import SampleError
from tests.unit.data.small_shards import clip, limits_of

FILES_OF_THE_LONG_RUN = 4_400
LIMITS = limits_of(1_000_000, max_image_pixels=1_000_000, max_audio_seconds=60)


def image(image_format: str, mode: str = "RGB", **options: object) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    grey16 = Image.fromarray(pixels[..., 0].astype(np.uint16) * 257)
    content = grey16 if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    content.save(buffer, image_format, exif=exif, **options)
    return buffer.getvalue()


def mp3_without_info() -> bytes:
    content = clip(20_000, format="MP3", bitrate_mode="VARIABLE")
    return content[content.index(b"\xff\xf3", 1) :]


SEEDS: dict[str, Callable[[], bytes]] = {
    "png": lambda: image("PNG"),
    "palette.png": lambda: image("PNG", "P", transparency=bytes(range(200))),
    "grey16.png": lambda: image("PNG", "I;16"),
    "transparent.png": lambda: image("PNG", "RGBA"),
    "jpg": lambda: image("JPEG"),
    "progressive.jpg": lambda: image("JPEG", progressive=True),
    "webp": lambda: image("WEBP"),
    "gif.png": lambda: image("GIF", "P"),
    "bmp.png": lambda: image("BMP"),
    "ppm.png": lambda: image("PPM"),
    "tiff.png": lambda: image("TIFF"),
    "lzw.tiff.png": lambda: image("TIFF", compression="tiff_lzw"),
    "jpeg.tiff.png": lambda: image("TIFF", compression="jpeg"),
    "deflate.tiff.png": lambda: image("TIFF", compression="tiff_adobe_deflate"),
    "wav": lambda: clip(6_000),
    "float.wav": lambda: clip(6_000, subtype="FLOAT"),
    "adpcm.wav": lambda: clip(6_000, subtype="IMA_ADPCM"),
    "flac": lambda: clip(20_000, channels=2, format="FLAC"),
    "vorbis.ogg": lambda: clip(20_000, format="OGG"),
    "opus.ogg": lambda: clip(20_000, format="OGG", subtype="OPUS"),
    "mp3": lambda: clip(20_000, format="MP3"),
    "variable.mp3": mp3_without_info,
}
USED = ("", "broken_image", "image_too_large", "image_too_thin", "broken_audio", "truncated_audio")
USED += ("chained_audio", "bad_audio_values", "bad_channels", "bad_sample_rate")
USED += ("audio_too_long", "audio_too_short")


def damaged(whole: bytes, random: random.Random, number: int) -> Iterator[bytes]:
    """Files with bytes changed, mostly near the front, a bit flipped, bytes cut out or put in, or an end."""
    for _ in range(number):
        content, way, place = bytearray(whole), random.random(), random.randrange(len(whole))
        if way < 0.5:
            for _ in range(random.randint(1, 6)):
                reach = len(content) if random.random() < 0.5 else min(200, len(content))
                content[random.randrange(reach)] = random.randrange(256)
        elif way < 0.6:
            content[place] ^= 1 << random.randrange(8)
        elif way < 0.75:
            del content[place:]
        elif way < 0.87:
            del content[place : place + random.randint(1, 200)]
        else:
            content[place:place] = random.randbytes(random.randint(1, 60))
        yield bytes(content)


def cause_of(extension: str, content: bytes) -> str:
    """Why the file cannot be used, "" when it can; measured and decoded as a run does."""
    kind = kind_of_extension(extension)
    assert isinstance(kind, CountsTokens)
    try:
        length = kind.slot_length(kind.measure(content), LIMITS)
        item = kind.process(content, LIMITS)
    except SampleError as error:
        return error.cause
    assert kind.item_length(item, LIMITS) == length, "decoding gives another length than measuring"
    return ""


def files(number: int) -> Iterator[tuple[str, bytes]]:
    for name, make in SEEDS.items():
        yield from ((name, content) for content in damaged(make(), random.Random(name), number))


def check(number: int, capfd: pytest.CaptureFixture[str]) -> None:
    causes = dict.fromkeys(SEEDS, "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, content in files(number):
            cause = cause_of(name.rpartition(".")[2], content)
            assert cause in USED, name
            causes[name] = max(causes[name], cause)
    os.write(2, b"end")
    assert capfd.readouterr() == ("", "end")
    assert all(causes.values()), "some kind of file was never damaged"


@pytest.mark.parametrize("name", SEEDS)
def test_whole_files_are_used(name: str) -> None:
    assert cause_of(name.rpartition(".")[2], SEEDS[name]()) == ""


def test_damaged_files_are_bad_samples_or_what_was_measured(capfd: pytest.CaptureFixture[str]) -> None:
    check(8, capfd)


@pytest.mark.slow
def test_thousands_of_damaged_files_are_too(capfd: pytest.CaptureFixture[str]) -> None:
    check(FILES_OF_THE_LONG_RUN // len(SEEDS), capfd)
