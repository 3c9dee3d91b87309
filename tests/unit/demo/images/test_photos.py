"""Photographs are many crops, and held-out views are whole."""

import io
from collections import Counter
from random import Random

from PIL import Image

from phi4train.data.media.images import ImageGeometry
from phi4train.demo.images.photos import PHOTO_SIZE, photo_dialogues, photo_questions


def test_photographs_are_many_crops_and_fit_a_small_context() -> None:
    geometry = ImageGeometry(crop_size=48, patch_size=8, max_crops=16)
    assert geometry.crop_grid(*PHOTO_SIZE) == (3, 4)
    assert geometry.num_image_tokens(*PHOTO_SIZE) == 117
    held_out = {content for s in photo_questions() for content in s.media.values()}
    assert len(held_out) == 2
    assert not held_out & {content for s in photo_dialogues(20, Random(0)) for content in s.media.values()}


def test_every_question_about_a_photograph_has_its_own_answer_and_descriptions_are_not_measured() -> None:
    asked = Counter[str]()
    for sample in photo_questions():
        content, answer = (message["content"] for message in sample.record["messages"])
        asked[content[1]["text"]] += 1
        is_described = content[1]["text"] == "Describe the photo."
        assert sample.record.get("answers") == (None if is_described else [answer])
    assert set(asked.values()) == {2}, "each of both photographs"


def test_training_views_have_the_size_of_the_held_out_ones_and_differ() -> None:
    samples = list(photo_dialogues(8, Random(0)))
    views = {content for sample in samples for content in sample.media.values()}
    assert len(views) == 8
    assert {Image.open(io.BytesIO(view)).size for view in views} == {PHOTO_SIZE}
    assert samples == list(photo_dialogues(8, Random(0)))
    for sample in samples:
        questions = [m["content"] for m in sample.record["messages"] if m["role"] == "user"]
        assert len({str(question) for question in questions}) == len(questions)
