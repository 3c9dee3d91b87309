"""Spoken questions about panels: an image, a clip, no text, and a twin for each."""

import json
from random import Random

import pytest

from phi4train.data.samples.records import MediaPart, parse_sample
from phi4train.demo.images.handwriting import Handwriting, load_handwriting
from phi4train.demo.images.questions import WORDINGS, ask, shapes_of
from phi4train.demo.samples import IMAGE_MEMBER
from phi4train.demo.speech.clips import AUDIO_MEMBER
from phi4train.demo.speech.spoken_panels import (
    PANEL_SYMBOLS,
    SPOKEN_TASKS,
    draw_question,
    question_symbols,
    spoken_panel_samples,
)


@pytest.fixture(scope="module")
def handwriting() -> Handwriting:
    return load_handwriting()


def test_a_sample_is_an_image_and_a_clip_without_text(handwriting: Handwriting) -> None:
    samples = list(spoken_panel_samples(len(SPOKEN_TASKS), Random(0), handwriting.held_out, held_out=True))
    assert [s.record["task"] for s in samples] == [f"vs_{task}" for task in SPOKEN_TASKS]
    for sample in samples:
        parsed = parse_sample("key", json.dumps(sample.record).encode())
        assert parsed.mode == "vision_speech"
        image, audio = MediaPart("image", IMAGE_MEMBER), MediaPart("audio", AUDIO_MEMBER)
        assert parsed.messages[0].parts == (image, audio)
        assert set(sample.media) == {IMAGE_MEMBER, AUDIO_MEMBER}
        assert parsed.answers == (sample.record["messages"][1]["content"],)


def test_training_samples_are_the_same_for_a_seed(handwriting: Handwriting) -> None:
    first, second = (list(spoken_panel_samples(4, Random(0), handwriting.train, False)) for _ in range(2))
    assert first == second
    assert "answers" not in first[0].record


@pytest.mark.parametrize("task", SPOKEN_TASKS)
def test_the_symbols_of_a_question_tell_what_is_asked(task: str) -> None:
    # the same panel and the same symbols always have the same answer
    answers: dict[tuple[str, ...], str] = {}
    panel, _ = draw_question(task, Random(0))
    for seed in range(100):
        turn = ask(task, panel, Random(seed))
        if turn is not None:
            assert answers.setdefault(question_symbols(turn), turn.answer) == turn.answer


def test_every_question_has_a_sign_of_its_own() -> None:
    asked = {*SPOKEN_TASKS, "compare_yes_no"}
    assert asked == set(PANEL_SYMBOLS) <= set(WORDINGS)
    assert len(set(PANEL_SYMBOLS.values())) == len(PANEL_SYMBOLS)
    assert all(shapes_of(task) for task in SPOKEN_TASKS)
