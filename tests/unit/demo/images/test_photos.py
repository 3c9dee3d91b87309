"""Photographs are many crops, and held-out views are whole."""

from random import Random

from phi4train.data.media.images import ImageGeometry
from phi4train.demo.images.photos import PHOTO_SIZE, photo_dialogues, photo_questions


def test_photographs_are_many_crops_and_fit_a_small_context() -> None:
    geometry = ImageGeometry(crop_size=48, patch_size=8, max_crops=16)
    assert geometry.crop_grid(*PHOTO_SIZE) == (3, 4)
    assert geometry.num_image_tokens(*PHOTO_SIZE) == 117
    held_out = {content for s in photo_questions() for content in s.media.values()}
    assert len(held_out) == 2
    assert not held_out & {content for s in photo_dialogues(20, Random(0)) for content in s.media.values()}
