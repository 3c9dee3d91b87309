"""Records of demo samples, and the hash that holds content out."""

import pytest

from phi4train.demo.samples import IMAGE_MEMBER, Turn, dialogue, is_held_out, record_of


def test_the_held_out_share_of_a_split_is_what_it_says() -> None:
    share = sum(is_held_out(f"document {n}", 0.1) for n in range(5000)) / 5000
    assert share == pytest.approx(0.1, abs=0.02)


TURNS = [Turn("sum", "What is the sum?", "7"), Turn("count", "How many?", "2")]


def test_a_dialogue_has_its_turns_in_order_and_its_context_before_the_first() -> None:
    sample = dialogue(TURNS, "text_pair", context="3 4\n")
    assert sample.media == {}
    assert sample.record == {
        "messages": [
            {"role": "user", "content": "3 4\nWhat is the sum?"},
            {"role": "assistant", "content": "7"},
            {"role": "user", "content": "How many?"},
            {"role": "assistant", "content": "2"},
        ],
        "task": "text_pair",
    }


def test_an_image_stands_before_the_first_question_with_its_reading() -> None:
    sample = dialogue(TURNS, "vqa", image=b"png", reading="34~")
    image, text = sample.record["messages"][0]["content"]
    assert image == {"type": "image", "image": IMAGE_MEMBER, "reading": "34~"}
    assert text == {"type": "text", "text": "What is the sum?"}
    assert sample.media == {IMAGE_MEMBER: b"png"}
    assert "reading" not in dialogue(TURNS, "vqa", image=b"png").record["messages"][0]["content"][0]


def test_only_what_is_measured_has_accepted_answers_and_they_are_the_last_one() -> None:
    assert "answers" not in dialogue(TURNS, "t").record
    assert dialogue(TURNS, "t", is_measured=True).record["answers"] == ["2"]
    assert dialogue(TURNS, "t", image=b"x", is_measured=True).record["answers"] == ["2"]


def test_languages_are_told_where_there_are_any() -> None:
    plain = record_of("a", TURNS, "t")
    told = record_of("a", TURNS, "t", language="de", target_language="en")
    assert told == {**plain, "language": "de", "meta": {"target_language": "en"}}


def test_text_and_its_bytes_are_in_one_split_and_a_larger_share_holds_the_smaller() -> None:
    texts = [f"ä {n}" for n in range(300)]
    splits = [{text for text in texts if is_held_out(text, fraction)} for fraction in (0.0, 0.1, 0.3, 1.0)]
    assert splits[0] == set() and splits[3] == set(texts)
    assert splits[1] < splits[2]
    assert all(is_held_out(text, 0.3) == is_held_out(text.encode(), 0.3) for text in texts)
