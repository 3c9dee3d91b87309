"""Questions about several images have the right answer, drawn and written, and parse as several images."""

import io
import json
from collections import Counter
from random import Random

import pytest
from PIL import Image

from phi4train.data.media.images import ImageGeometry
from phi4train.data.samples.records import VideoPart, parse_sample
from phi4train.demo.images.handwriting import Handwriting, load_handwriting
from phi4train.demo.images.multi_image import (
    MAX_IMAGES,
    MULTI_IMAGE_TASKS,
    VIDEO_TASKS,
    WORDINGS,
    multi_image_samples,
    video_samples,
    written_multi_image,
)
from phi4train.demo.samples import DemoSample

GEOMETRY = ImageGeometry(crop_size=48, patch_size=8, max_crops=16)


@pytest.fixture(scope="module")
def handwriting() -> Handwriting:
    return load_handwriting()


def written_panels(text: str) -> list[str]:
    """The first row of each panel of a layout, blanks as `~`."""
    panels = text.rsplit("\n", 1)[0].split("=")[1:]
    return [panel.split("\n", 1)[0] for panel in panels]


def solve(task: str, panels: list[str], question: str) -> str:
    """The answer, worked out from the written panels alone."""
    digits = [panel.strip("~") for panel in panels]
    named = "".join(c for c in question if c.isdigit())
    if task == "mi_larger":
        return str(digits.index(max(digits, key=int)) + 1)
    if task == "mi_same":
        return "yes" if len(set(digits)) == 1 else "no"
    if task == "mi_count":
        return str(digits.count(named))
    if task == "mi_which":
        return str(digits.index(named) + 1)
    if task == "video_last":
        return digits[-1]
    if task == "video_trend":
        return "rise" if digits == sorted(digits) else "fall"
    return "right" if panels[0][0] != "~" else "left"


@pytest.mark.parametrize("held_out", [False, True])
def test_written_answers_follow_from_the_panels(held_out: bool) -> None:
    answers = set()
    for sample in written_multi_image(700, Random(0), held_out):
        user, assistant = sample.record["messages"]
        task = sample.record["task"].removeprefix("text_")
        question = user["content"].rsplit("\n", 1)[1]
        assert solve(task, written_panels(user["content"]), question) == assistant["content"]
        assert (sample.record.get("answers") is not None) == held_out
        answers.add(assistant["content"])
    assert {"rise", "fall", "1", "2", "3"} <= answers


def test_no_written_sequence_is_both_trained_on_and_held_out() -> None:
    def layouts(samples: list[DemoSample]) -> set[str]:
        return {s.record["messages"][0]["content"].rsplit("\n", 1)[0] for s in samples}

    held_out = layouts(list(written_multi_image(200, Random(0), held_out=True)))
    train = [s for s in written_multi_image(5000, Random(1)) if s.record["task"] != "text_mi_same"]
    assert not held_out & layouts(train)


def test_images_stand_before_the_question_and_are_measured_when_held_out(handwriting: Handwriting) -> None:
    samples = list(multi_image_samples(40, Random(0), handwriting.held_out, held_out=True))
    assert Counter(s.record["task"] for s in samples) == dict.fromkeys(MULTI_IMAGE_TASKS, 10)
    for sample in samples:
        parsed = parse_sample("key", json.dumps(sample.record).encode())
        assert 2 <= len(parsed.media) == len(sample.media) <= MAX_IMAGES
        assert [medium.member for medium in parsed.media] == list(sample.media)
        assert parsed.answers == (sample.record["messages"][1]["content"],)
        for content in sample.media.values():
            assert GEOMETRY.crop_grid(*Image.open(io.BytesIO(content)).size) == (1, 1)


def test_frames_are_a_video(handwriting: Handwriting) -> None:
    samples = list(video_samples(30, Random(0), handwriting.train, held_out=False))
    assert {s.record["task"] for s in samples} == set(VIDEO_TASKS)
    held_out = video_samples(30, Random(0), handwriting.held_out, held_out=True)
    assert Counter(s.record["task"] for s in held_out) == dict.fromkeys(VIDEO_TASKS, 10)
    assert samples == list(video_samples(30, Random(0), handwriting.train, held_out=False))
    for sample in samples:
        video = parse_sample("key", json.dumps(sample.record).encode()).messages[0].parts[0]
        assert isinstance(video, VideoPart)
        assert len(video.frames) in (3, 4)


def test_a_moving_digit_moves(handwriting: Handwriting) -> None:
    moves = [
        s
        for s in video_samples(60, Random(0), handwriting.held_out, held_out=True)
        if s.record["task"] == "video_move"
    ]
    for sample in moves:
        inked = []
        for content in sample.media.values():
            ink = Image.eval(Image.open(io.BytesIO(content)), lambda grey: 255 - grey)
            box = ink.getbbox()
            assert box is not None
            inked.append(box[0])
        assert inked == sorted(inked, reverse=sample.record["answers"] == ["left"])
    assert {s.record["answers"][0] for s in moves} == {"left", "right"}


def test_every_task_is_written() -> None:
    tasks = {s.record["task"] for s in written_multi_image(70, Random(0))}
    assert tasks == {f"text_{task}" for task in WORDINGS}
