"""Crop grids, token counts, pixels of processed images, and opening of untrusted image bytes."""

import io
import random
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from phi4train.data.media.images import ImageGeometry, image_size, open_image
from phi4train.errors import SampleError

RELEASED = ImageGeometry(crop_size=448, patch_size=14, max_crops=36)
SMALL = ImageGeometry(crop_size=32, patch_size=4, max_crops=6)


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


@pytest.mark.parametrize(
    ("width", "height", "crops", "tokens"),
    [
        (448, 28, 1, 290),
        (28, 448, 1, 305),
        (448, 448, 1, 545),
        (100, 100, 1, 545),
        (896, 448, 2, 801),
        (449, 449, 4, 1329),
        (896, 672, 4, 1065),
        (1344, 1344, 9, 2625),
        (1920, 1080, 15, 3918),
        (2688, 2688, 36, 9585),
        (448, 448 * 36, 36, 10065),
    ],
)
def test_the_published_token_table_holds(width: int, height: int, crops: int, tokens: int) -> None:
    rows, columns = RELEASED.crop_grid(width, height)
    assert rows * columns == crops
    assert RELEASED.num_image_tokens(width, height) == tokens


def test_the_published_token_table_holds_with_16_crops() -> None:
    geometry = replace(RELEASED, max_crops=16)
    assert geometry.num_image_tokens(1792, 1792) == 4433
    assert geometry.num_image_tokens(448, 448 * 16) == 4625


def test_of_equally_near_grids_the_larger_wins() -> None:
    geometry = ImageGeometry(crop_size=32, patch_size=4, max_crops=4)
    assert geometry.crop_grid(96, 96) == (2, 2)  # as square as 1 x 1
    assert geometry.crop_grid(160, 64) == (1, 3)  # 2.5 lies between 2 and 3 columns
    assert RELEASED.crop_grid(71 * 240, 2 * 240) == (1, 36)  # 35.5 lies between 35 and 36 columns


def test_a_grid_never_exceeds_the_cap_and_no_crop_is_only_padding() -> None:
    rng = random.Random(0)
    for _ in range(500):
        geometry = ImageGeometry(32, 4, rng.choice([1, 2, 6, 16]))
        width, height = rng.randint(8, 400), rng.randint(8, 400)
        try:
            processed = geometry.preprocess(Image.new("RGB", (width, height)))
        except SampleError as error:
            assert error.cause == "image_too_thin"
            continue
        rows, columns = processed.grid
        assert rows * columns <= geometry.max_crops
        assert processed.crops.shape == (1 + rows * columns, 3, 32, 32)
        assert processed.patch_mask.flatten(1).any(dim=1).all()
        assert processed.patch_mask[0].all()


def test_tokens_counted_from_the_size_equal_tokens_counted_from_the_mask() -> None:
    rng = random.Random(1)
    for _ in range(200):
        width, height = rng.randint(12, 300), rng.randint(12, 300)
        try:
            tokens = SMALL.num_image_tokens(width, height)
        except SampleError:
            continue
        _, mask, (rows, columns) = SMALL.preprocess(Image.new("RGB", (width, height)))
        merged = mask[1:, ::2, ::2].view(rows, columns, 4, 4).transpose(1, 2).reshape(rows * 4, columns * 4)
        assert tokens == int(merged.sum() + merged[:, 0].sum()) + 1 + 4 * 5


def test_pixels_are_scaled_to_one_padding_is_white_and_masked() -> None:
    crops, mask, grid = SMALL.preprocess(Image.new("RGB", (20, 32), (0, 127, 255)))
    assert grid == (1, 1)
    assert crops.dtype == torch.float32
    assert mask.dtype == torch.bool
    expected = torch.tensor([-1.0, (127 - 127.5) / 127.5, 1.0])
    torch.testing.assert_close(crops[1, :, 5, 19], expected, rtol=0, atol=1e-6)
    assert (crops[1, :, :, 20:] == 1.0).all()
    assert mask[1].sum(dim=1).tolist() == [5] * 8
    assert torch.equal(crops[0], crops[1])


def test_an_image_that_fits_its_grid_is_cut_without_resampling() -> None:
    image = noise(64, 96)
    crops, mask, grid = SMALL.preprocess(image)
    assert grid == (3, 2)
    assert mask.all()
    pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().sub(127.5).div(127.5)
    for row in range(3):
        for column in range(2):
            tile = pixels[:, 32 * row : 32 * row + 32, 32 * column : 32 * column + 32]
            assert torch.equal(crops[1 + 2 * row + column], tile)


def test_an_image_too_thin_for_a_patch_is_a_bad_sample() -> None:
    with pytest.raises(
        SampleError, match=r"at least 10 px · found 448x9 px that became 448x9 px · crop"
    ) as caught:
        RELEASED.num_image_tokens(448, 9)
    assert caught.value.cause == "image_too_thin"
    assert RELEASED.num_image_tokens(448, 10) > 0
    with pytest.raises(SampleError, match="at least 3 px"):
        SMALL.preprocess(Image.new("RGB", (32, 2)))


@pytest.mark.parametrize(("crop_size", "patch_size"), [(448, 13), (28, 8), (448, 0), (0, 14), (14, 14)])
def test_a_crop_that_is_not_an_even_number_of_patches_is_refused(crop_size: int, patch_size: int) -> None:
    with pytest.raises(ValueError, match=r"crop_size must be an even multiple of patch_size · found"):
        ImageGeometry(crop_size, patch_size, max_crops=36)


def test_a_geometry_without_crops_and_an_image_without_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"max_crops must be at least 1 · found 0"):
        replace(RELEASED, max_crops=0)
    with pytest.raises(ValueError, match=r"image sides must be positive · found 0x5"):
        RELEASED.crop_grid(0, 5)
    with pytest.raises(ValueError, match=r"RGB mode · found L"):
        SMALL.preprocess(Image.new("L", (32, 32)))


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
