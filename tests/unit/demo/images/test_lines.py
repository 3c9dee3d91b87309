"""A rendered line reads as its text, and held-out texts stay out of training."""

import io
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageFont, ImageOps

from phi4train.demo.images.lines import LINE_SIZE, _render, line_samples, line_texts
from phi4train.demo.samples import IMAGE_MEMBER, DemoSample


def test_no_rendered_line_is_both_trained_on_and_held_out() -> None:
    words = ["thunder", "lightning", "rain", "hurly", "burly", "battle"]

    def texts(samples: list[DemoSample]) -> set[str]:
        return {s.record["messages"][1]["content"] for s in samples}

    held_out = texts(list(line_samples(20, words, Random(0), held_out=True)))
    assert not held_out & texts(list(line_samples(300, words, Random(1), held_out=False)))


def test_words_are_short_sorted_and_each_once() -> None:
    assert line_texts(["The rain, the RAIN; it is thundering", "rain 12 of rain"]) == [
        *("RAIN", "The", "rain", "the", "thundering"),
    ]


@pytest.mark.parametrize("held_out", [False, True])
def test_a_line_is_black_on_white_within_its_margins_and_only_held_out_ones_are_measured(
    held_out: bool,
) -> None:
    words = ["thunder", "lightning", "rain", "hurly", "burly", "battle", "extraordinary"]
    samples = list(line_samples(12, words, Random(0), held_out))
    for sample in samples:
        image = Image.open(io.BytesIO(sample.media[IMAGE_MEMBER]))
        ink = ImageOps.invert(image).getbbox()
        assert image.size == LINE_SIZE and ink is not None
        assert 0 < ink[0] < ink[2] < LINE_SIZE[0], "nothing is cut off at the sides"
        assert ("answers" in sample.record) == held_out and sample.record["task"] == "ocr_line"
    assert len({sample.media[IMAGE_MEMBER] for sample in samples}) == 12


def test_a_longer_text_takes_more_ink() -> None:
    font = ImageFont.load_default(13)
    short, long = (
        np.asarray(Image.open(io.BytesIO(_render(text, font, Random(0))))) for text in ("i", "thunder")
    )
    assert 0 < (short < 128).sum() < (long < 128).sum()
