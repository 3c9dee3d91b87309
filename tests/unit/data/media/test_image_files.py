"""Opening of untrusted image bytes: what is refused, what becomes RGB, and that it is upright."""

import io
import os
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from phi4train.data.media import image_files
from phi4train.data.media.image_files import image_size, open_image
from phi4train.errors import SampleError


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, image_format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, **options)
    return buffer.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises pixels but holds none: decoding it fails, reading its size does not."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize("image_format", ["PNG", "BMP", "PPM", "TIFF"])
def test_lossless_formats_open_exactly(image_format: str) -> None:
    image = noise(30, 20)
    opened = open_image(encoded(image, image_format), max_pixels=600)
    assert opened.mode == "RGB"
    assert np.array_equal(np.array(opened), np.array(image))


@pytest.mark.parametrize("image_format", ["JPEG", "WEBP", "GIF"])
def test_lossy_formats_open_in_rgb(image_format: str) -> None:
    data = encoded(Image.new("RGB", (30, 20), (200, 100, 50)), image_format)
    opened = open_image(data, max_pixels=600)
    assert (opened.mode, opened.size, image_size(data)) == ("RGB", (30, 20), (30, 20))
    np.testing.assert_allclose(np.array(opened)[10, 15], (200, 100, 50), atol=4)


@pytest.mark.parametrize("side", [20_000, 12_000, 60_000])
def test_too_many_pixels_are_refused_from_the_header_before_anything_is_decoded(side: int) -> None:
    with pytest.raises(SampleError, match=r"at most .* pixels · found .* · shrink") as caught:
        open_image(png_header(side, side), max_pixels=100_000_000)
    assert caught.value.cause == "image_too_large"


def test_the_pixel_limit_is_inclusive() -> None:
    data = encoded(noise(10, 10))
    assert open_image(data, max_pixels=100).size == (10, 10)
    with pytest.raises(SampleError, match=r"at most 99 pixels · found 10x10 = 100 pixels · shrink") as caught:
        open_image(data, max_pixels=99)
    assert caught.value.cause == "image_too_large"


def test_a_size_that_only_makes_pillow_warn_is_read_without_a_warning() -> None:
    assert image_size(png_header(10_000, 12_000)) == (10_000, 12_000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an image",
        png_header(5, 5),
        encoded(noise(64, 64))[:-2000],
        encoded(noise(64, 64), "JPEG")[:700],
        encoded(noise(64, 64), "WEBP")[:200],
        encoded(Image.new("F", (4, 4)), "TIFF"),
        encoded(noise(16, 16), "ICO"),  # Pillow could, but the format is not on the list
    ],
)
def test_bytes_that_are_no_readable_image_are_a_bad_sample(data: bytes) -> None:
    with pytest.raises(
        SampleError, match=r"an image must be a readable .* file · found .* · replace"
    ) as caught:
        open_image(data, max_pixels=10_000)
    assert caught.value.cause == "broken_image"


def test_damaged_bytes_are_either_an_image_or_a_bad_sample() -> None:
    rng = random.Random(0)
    for image_format in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP", "PPM"):
        whole = encoded(noise(24, 24), image_format)
        for _ in range(60):
            damaged = bytearray(whole)
            for _ in range(rng.randint(1, 8)):
                damaged[rng.randrange(min(len(damaged), 200))] = rng.randrange(256)
            try:
                opened = open_image(bytes(damaged), max_pixels=1_000_000)
            except SampleError as error:
                assert error.cause in ("broken_image", "image_too_large")
            else:
                assert opened.mode == "RGB"
                assert opened.size == image_size(bytes(damaged))


def test_transparent_pixels_become_white() -> None:
    rgba = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    rgba.putpixel((0, 0), (255, 0, 0, 255))
    grey_alpha = rgba.convert("LA")
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.putpixel((0, 0), 0)
    for data in (encoded(rgba), encoded(grey_alpha), encoded(palette, transparency=1)):
        opened = open_image(data, max_pixels=16)
        assert opened.getpixel((3, 3)) == (255, 255, 255)
        assert opened.getpixel((0, 0)) in ((255, 0, 0), (76, 76, 76))


def test_grey_black_and_white_palette_and_cmyk_images_become_rgb() -> None:
    grey = Image.new("L", (4, 4), 100)
    assert open_image(encoded(grey), 16).getpixel((0, 0)) == (100, 100, 100)
    assert open_image(encoded(grey.convert("1", dither=Image.Dither.NONE)), 16).mode == "RGB"
    palette = noise(4, 4).quantize(16)
    assert np.array_equal(np.array(open_image(encoded(palette), 16)), np.array(palette.convert("RGB")))
    assert open_image(encoded(Image.new("CMYK", (4, 4)), "JPEG"), 16).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "PPM"])
def test_16_bit_grey_keeps_its_range(image_format: str) -> None:
    values = np.array([[0, 257, 32_896, 65_535]], dtype=np.uint16)
    opened = open_image(encoded(Image.fromarray(values), image_format), max_pixels=4)
    assert np.array(opened)[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied_to_pixels_and_size(image_format: str, orientation: int) -> None:
    corners = Image.new("RGB", (48, 32), "black")
    corners.paste("red", (0, 0, 16, 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(corners, image_format, exif=exif)
    opened = open_image(data, max_pixels=48 * 32)
    assert opened.size == image_size(data) == ((48, 32) if orientation < 5 else (32, 48))
    right, below = opened.size[0] - 8, opened.size[1] - 8
    centre_of_red = {
        **{1: (8, 8), 2: (right, 8), 3: (right, below), 4: (8, below)},
        **{5: (8, 8), 6: (right, 8), 7: (right, below), 8: (8, below)},
    }[orientation]
    red, green, _ = opened.getpixel(centre_of_red)
    assert red > 200
    assert green < 60


@pytest.mark.parametrize("orientation", [0, 9, 255, 65535])
@pytest.mark.parametrize("image_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_an_orientation_that_exif_does_not_know_is_upright(image_format: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(noise(8, 6), image_format, exif=exif)
    assert image_size(data) == open_image(data, max_pixels=48).size == (8, 6)


def test_a_damaged_exif_block_leaves_the_image_upright() -> None:
    data = encoded(noise(8, 6), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert image_size(data) == open_image(data, max_pixels=48).size == (8, 6)


def exif_text(orientation: int) -> PngInfo:
    """EXIF as ImageMagick writes it into a PNG: hexadecimal in a text chunk."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = exif.tobytes()
    info = PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(content):8}\n{content.hex()}\n", zip=True)
    return info


def xmp_text(orientation: int) -> PngInfo:
    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", f'<rdf:Description tiff:Orientation="{orientation}"/>')
    return info


@pytest.mark.parametrize("text", [exif_text, xmp_text])
@pytest.mark.parametrize("orientation", range(10))
def test_the_orientation_of_a_png_text_chunk_turns_pixels_and_size(
    text: Callable[[int], PngInfo], orientation: int
) -> None:
    image = Image.new("RGB", (48, 32), "black")
    image.paste("red", (0, 0, 16, 16))
    opened = open_image(data := encoded(image, pnginfo=text(orientation)), max_pixels=48 * 32)
    assert opened.size == image_size(data) == ((32, 48) if orientation in (5, 6, 7, 8) else (48, 32))
    right, below = opened.size[0] - 8, opened.size[1] - 8
    corner = {
        2: (right, 8),
        3: (right, below),
        4: (8, below),
        6: (right, 8),
        7: (right, below),
        8: (8, below),
    }
    assert opened.getpixel(corner.get(orientation, (8, 8))) == (255, 0, 0)


def test_exif_comes_before_xmp_and_what_follows_the_pixels_does_not_count() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    data = encoded(noise(8, 6), pnginfo=xmp_text(6), exif=exif)
    assert image_size(data) == open_image(data, 48).size == (8, 6)
    behind = encoded(noise(8, 6), pnginfo=exif_text(6))
    start = behind.index(b"zTXt") - 4
    end = start + 12 + int.from_bytes(behind[start : start + 4], "big")
    data = behind[:start] + behind[end:-12] + behind[start:end] + behind[-12:]
    assert image_size(behind) == (6, 8) and image_size(data) == open_image(data, 48).size == (8, 6)


@pytest.mark.parametrize("place", ["xmp alone", "xmp and tag"])
def test_of_a_tiff_the_tag_alone_decides(place: str) -> None:
    tags = {700: b'<rdf:Description tiff:Orientation="6"/>', **({274: 1} if place == "xmp and tag" else {})}
    data = encoded(noise(8, 6), "TIFF", tiffinfo=tags)
    assert image_size(data) == open_image(data, 48).size == (8, 6)


def test_strips_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rgba = noise(40, 30).convert("RGBA")
    rgba.putalpha(Image.fromarray(np.arange(1200, dtype=np.uint32).reshape(30, 40).astype(np.uint8)))
    palette = noise(40, 30).quantize(16)
    files = [
        encoded(rgba),
        encoded(palette, transparency=bytes(range(16))),
        encoded(noise(40, 30).convert("L")),
    ]
    files += [encoded(noise(40, 30).convert("CMYK"), "JPEG"), encoded(palette, "GIF")]
    wholes = [np.array(open_image(data, 1_200)) for data in files]
    monkeypatch.setattr(image_files, "STRIP_PIXELS", 100)
    for data, whole in zip(files, wholes, strict=True):
        assert np.array_equal(np.array(open_image(data, 1_200)), whole)


PEAK_OF_OPENING = """
import sys
from pathlib import Path
from phi4train.data.media.image_files import open_image
from phi4train.data.media.images import ImageGeometry
def kilobytes(key):
    return int(Path("/proc/self/status").read_text().split(key + ":")[1].split()[0])
data, geometry = sys.stdin.buffer.read(), ImageGeometry(448, 14, 36)
Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
before = kilobytes("VmRSS")
geometry.preprocess(open_image(data, 100_000_000))
print(kilobytes("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(("mode", "bytes_per_pixel"), [("RGB", 4), ("RGBA", 8), ("P", 5), ("I;16", 6)])
def test_a_large_image_takes_a_few_bytes_a_pixel(mode: str, bytes_per_pixel: int) -> None:
    data = encoded(Image.new(mode, (9_900, 10_000)), compress_level=1)
    result = subprocess.run(
        [sys.executable, "-c", PEAK_OF_OPENING], input=data, capture_output=True, check=True
    )
    assert int(result.stdout) * 1024 < 99_000_000 * bytes_per_pixel + 300e6  # 37 crops of 448 px besides


def test_webp_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_files, "_MAX_WEBP_PIXELS", 99)
    assert image_size(encoded(noise(20, 20))) == image_size(encoded(noise(20, 20), "JPEG")) == (20, 20)
    assert image_size(encoded(noise(9, 11), "WEBP")) == (9, 11)
    data = encoded(noise(10, 10), "WEBP")
    for act in (lambda: image_size(data), lambda: open_image(data, 1_000)):
        with pytest.raises(SampleError, match=r"at most 99 pixels · found 10x10 in a WebP file") as caught:
            act()
        assert caught.value.cause == "image_too_large"


LEAKS: dict[str, Callable[[], bytes]] = {
    "palette with transparency of bytes": lambda: encoded(
        noise(8, 6).quantize(16), transparency=bytes(range(16))
    ),
    "a tiff cut inside its tags": lambda: encoded(noise(8, 6), "TIFF", compression="tiff_lzw")[:-9],
    "a tiff whose pixels are damaged": lambda: encoded(
        noise(64, 64), "TIFF", compression="tiff_adobe_deflate"
    ).replace(b"\x78", b"\x77"),
    "a tiff of 181 samples a pixel": lambda: encoded(noise(8, 6), "TIFF").replace(
        b"\x15\x01\x03\x00\x01\x00\x00\x00\x03", b"\x15\x01\x03\x00\x01\x00\x00\x00\xb5"
    ),
    "many pixels": lambda: png_header(10_000, 12_000),
    "a damaged exif block": lambda: encoded(
        noise(8, 6), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x09\0\x12\x01\x03\0\xff\xff\xff\xff"
    ),
}


@pytest.mark.parametrize("case", LEAKS)
def test_nothing_reaches_the_terminal(case: str, capfd: pytest.CaptureFixture[str]) -> None:
    data = LEAKS[case]()
    for act in (lambda: image_size(data), lambda: open_image(data, 1_000_000)):
        try:
            act()
        except SampleError as error:
            assert error.cause in ("broken_image", "image_too_large")
    os.write(2, b"end")
    assert capfd.readouterr() == ("", "end")
