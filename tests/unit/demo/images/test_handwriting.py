"""Digit images of training and those held out are apart, and a panel is drawn at its own scale."""

import io
from random import Random

import pytest
from PIL import Image

from phi4train.data.media.images import ImageGeometry
from phi4train.demo.images.handwriting import Handwriting, draw_png, load_handwriting
from phi4train.demo.images.panels import CELL_PIXELS, GRIDS, NUMBERS, SINGLE, draw_panel, panel_of

GEOMETRY = ImageGeometry(crop_size=48, patch_size=8, max_crops=16)


@pytest.fixture(scope="module")
def handwriting() -> Handwriting:
    return load_handwriting()


def test_no_digit_image_is_both_trained_on_and_held_out(handwriting: Handwriting) -> None:
    train = {image.tobytes() for images in handwriting.train.values() for image in images}
    held_out = {image.tobytes() for images in handwriting.held_out.values() for image in images}
    assert not train & held_out
    assert len(train) + len(held_out) == 1797


def test_a_fifth_of_each_digits_images_is_held_out(handwriting: Handwriting) -> None:
    for digit in range(10):
        total = len(handwriting.train[digit]) + len(handwriting.held_out[digit])
        assert len(handwriting.held_out[digit]) / total == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize("shape", (SINGLE, *NUMBERS, *GRIDS))
def test_a_panel_costs_at_most_a_one_crop_images_tokens(
    handwriting: Handwriting, shape: tuple[int, int]
) -> None:
    panel = draw_panel(shape, Random(0))
    image = Image.open(io.BytesIO(draw_png(panel, handwriting.train, Random(0), augment=True)))
    assert image.size == panel.size
    assert GEOMETRY.num_image_tokens(*image.size) <= 25
    assert GEOMETRY.crop_grid(*image.size) == (1, 1), "one crop, at its own scale"


def test_held_out_panels_are_drawn_without_augmentation(handwriting: Handwriting) -> None:
    panel = draw_panel((1, 1), Random(0))
    one_each = {digit: images[:1] for digit, images in handwriting.held_out.items()}
    plain = {draw_png(panel, one_each, Random(seed), augment=False) for seed in range(5)}
    varied = {draw_png(panel, one_each, Random(seed), augment=True) for seed in range(5)}
    assert (len(plain), len(varied)) == (1, 5)


def test_a_panel_has_ink_in_the_cells_of_its_digits_alone(handwriting: Handwriting) -> None:
    panel = draw_panel((2, 2), Random(0))
    image = Image.open(io.BytesIO(draw_png(panel, handwriting.train, Random(0), augment=True)))
    for row in range(2):
        for column in range(3):
            box = (
                column * CELL_PIXELS,
                row * CELL_PIXELS,
                (column + 1) * CELL_PIXELS,
                (row + 1) * CELL_PIXELS,
            )
            darkest, lightest = image.crop(box).getextrema()
            assert (darkest < 100) == (column < 2), (row, column)
            assert lightest == 255, "dark on white"


def test_each_digit_is_drawn_with_its_own_images(handwriting: Handwriting) -> None:
    solid = {digit: [Image.new("L", (8, 8), 255 if digit == 7 else 0)] for digit in range(10)}
    image = Image.open(io.BytesIO(draw_png(panel_of([7, 1], (1, 2)), solid, Random(0), augment=False)))
    middle = CELL_PIXELS // 2
    assert [image.getpixel((x * CELL_PIXELS + middle, middle)) for x in (0, 1)] == [0, 255]
