"""Draws panels with scikit-learn's 1,797 real handwritten digits.

Source: UCI "Optical Recognition of Handwritten Digits" test set, by way of sklearn.datasets.load_digits.
"""

import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random

from PIL import Image, ImageOps

from phi4train.demo.images.panels import CELL_PIXELS, Panel

SOURCE_PIXELS = 8
"""Side of a digit image as scikit-learn has it."""

HELD_OUT_FRACTION = 0.2
"""Share of each digit's images that only held-out samples may use."""

DigitImages = Mapping[int, Sequence[Image.Image]]
"""Images of each digit 0 to 9: 8 x 8, mode L, ink 255 on 0."""


@dataclass(frozen=True)
class Handwriting:
    """The digit images of training and those held out; no image is in both."""

    train: DigitImages
    held_out: DigitImages


def load_handwriting() -> Handwriting:
    """All digit images, split by the hash of their pixels within each digit."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    by_digit: dict[int, dict[bytes, Image.Image]] = {digit: {} for digit in range(10)}
    for pixels, digit in zip(digits.images, digits.target, strict=True):
        image = Image.fromarray((pixels * (255 / 16)).round().astype("uint8"))
        by_digit[int(digit)][hashlib.sha256(image.tobytes()).digest()] = image
    train: dict[int, list[Image.Image]] = {}
    held_out: dict[int, list[Image.Image]] = {}
    for digit, images in by_digit.items():
        ordered = [images[key] for key in sorted(images)]
        cut = round(len(ordered) * HELD_OUT_FRACTION)
        held_out[digit], train[digit] = ordered[:cut], ordered[cut:]
    return Handwriting(train, held_out)


def draw_png(panel: Panel, images: DigitImages, rng: Random, augment: bool) -> bytes:
    """PNG of a panel, dark on white; `augment` varies place, size, slant and ink of each digit."""
    cell = CELL_PIXELS
    ink = Image.new("L", panel.size, 0)
    for row, digits in enumerate(panel.rows):
        for column, digit in enumerate(digits):
            tile = _draw_digit(rng.choice(images[digit]), cell, rng if augment else None)
            strength = rng.randint(180, 255) if augment else 255
            place = (column * cell, row * cell, (column + 1) * cell, (row + 1) * cell)
            ink.paste(strength, place, mask=tile)
    buffer = io.BytesIO()
    ImageOps.invert(ink).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _draw_digit(image: Image.Image, cell: int, rng: Random | None) -> Image.Image:
    """One digit filling most of a square tile of `cell` pixels; ink on 0."""
    fill, degrees, shift_x, shift_y = 0.92, 0.0, 0.0, 0.0
    if rng is not None:
        fill = rng.uniform(0.78, 1.0)
        degrees = rng.uniform(-12, 12)
        shift_x, shift_y = rng.uniform(-0.07, 0.07) * cell, rng.uniform(-0.07, 0.07) * cell
    # Pillow wants the inverse map: from the centre of an output pixel to a place in the 8 x 8 image.
    step = SOURCE_PIXELS / (cell * fill)
    cosine, sine = math.cos(math.radians(degrees)) * step, math.sin(math.radians(degrees)) * step
    middle_x, middle_y = cell / 2 + shift_x, cell / 2 + shift_y
    offset_x = SOURCE_PIXELS / 2 - cosine * middle_x - sine * middle_y
    offset_y = SOURCE_PIXELS / 2 + sine * middle_x - cosine * middle_y
    return image.transform(
        (cell, cell),
        Image.Transform.AFFINE,
        (cosine, sine, offset_x, -sine, cosine, offset_y),
        resample=Image.Resampling.BICUBIC,
        fillcolor=0,
    )
