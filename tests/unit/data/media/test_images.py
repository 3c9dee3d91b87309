"""Crop grids, token counts and pixels of processed images."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from phi4train.data.media import image_files, images
from phi4train.data.media.images import ImageGeometry
from phi4train.errors import SampleError

RELEASED = ImageGeometry(crop_size=448, patch_size=14, max_crops=36)
SMALL = ImageGeometry(crop_size=32, patch_size=4, max_crops=6)


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


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


@pytest.mark.parametrize(("width", "height"), [(300, 200), (31, 500), (500, 41), (90, 90)])
def test_resizing_in_strips_is_resizing(width: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = noise(width, height)
    whole = SMALL.preprocess(image)
    strips = list(images.strips(image.size))
    monkeypatch.setattr(image_files, "STRIP_PIXELS", 2_000)
    monkeypatch.setattr(images, "STRIP_PIXELS", 2_000)
    assert len(list(images.strips(image.size))) > len(strips) == 1
    assert torch.equal(SMALL.preprocess(image).crops, whole.crops)
