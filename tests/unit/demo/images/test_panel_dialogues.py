"""Drawn and written panels ask the same questions; held-out material stays out of training."""

from collections import Counter
from itertools import islice
from random import Random

import pytest

from phi4train.demo.images.handwriting import Handwriting, load_handwriting
from phi4train.demo.images.panel_dialogues import (
    TURNS,
    drawn_captions,
    drawn_dialogues,
    drawn_questions,
    written_dialogues,
    written_questions,
)
from phi4train.demo.images.questions import QUESTION_TASKS
from phi4train.demo.samples import IMAGE_MEMBER, DemoSample


@pytest.fixture(scope="module")
def handwriting() -> Handwriting:
    return load_handwriting()


def first_user_text(sample: DemoSample) -> str:
    content = sample.record["messages"][0]["content"]
    return str(content if isinstance(content, str) else content[1]["text"])


def question_forms(samples: list[DemoSample]) -> set[str]:
    turns = [m["content"] for s in samples for m in s.record["messages"] if m["role"] == "user"]
    texts = [turn if isinstance(turn, str) else turn[1]["text"] for turn in turns]
    questions = [text.rsplit("\n", 1)[-1] for text in texts]
    return {"".join("#" if c.isdigit() else c for c in question) for question in questions}


def test_written_panels_teach_every_question_that_drawn_panels_ask(handwriting: Handwriting) -> None:
    drawn = list(drawn_dialogues(1500, handwriting.train, Random(0)))
    measured = list(drawn_questions(60, handwriting.held_out, Random(0)))
    captions = list(drawn_captions(300, handwriting.train, Random(0), held_out=False))
    written = list(written_dialogues(3000, Random(0)))
    assert question_forms(drawn + measured + captions) == question_forms(written)


def test_a_held_out_question_has_one_image_one_turn_and_one_answer(handwriting: Handwriting) -> None:
    samples = list(drawn_questions(5, handwriting.held_out, Random(0)))
    assert Counter(s.record["task"] for s in samples) == {f"vqa_{task}": 5 for task in QUESTION_TASKS}
    for sample in samples:
        assert [m["role"] for m in sample.record["messages"]] == ["user", "assistant"]
        assert sample.record["answers"] == [sample.record["messages"][1]["content"]]
        assert set(sample.media) == {IMAGE_MEMBER}


def test_no_written_panel_is_both_trained_on_and_held_out() -> None:
    def panels(samples: list[DemoSample]) -> set[str]:
        return {first_user_text(s).rsplit("\n", 1)[0] for s in samples}

    held_out = panels(list(written_questions(40, Random(0))))
    assert not panels(list(written_dialogues(4000, Random(1)))) & held_out


def test_training_dialogues_share_an_image_among_turns(handwriting: Handwriting) -> None:
    turns = [
        len(s.record["messages"]) // 2
        for s in islice(drawn_dialogues(200, handwriting.train, Random(0)), 200)
    ]
    assert sum(turns) / len(turns) > 2
    assert max(turns) == TURNS[1]
