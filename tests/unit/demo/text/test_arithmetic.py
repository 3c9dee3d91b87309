"""Exercises are right, and held-out ones stay out of training."""

import re
from random import Random

import pytest

from phi4train.demo.text.arithmetic import EXERCISES, exercise_dialogues, exercise_questions, number_word


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


RIGHT = {
    "compare": lambda a, b: str(max(a, b)),
    "compare_yes_no": lambda a, b: "yes" if a > b else "no",
}


@pytest.mark.parametrize("skill", EXERCISES)
def test_every_skill_answers_what_it_asks(skill: str) -> None:
    for seed in range(60):
        _, wordings, answer = EXERCISES[skill](Random(seed))
        assert len(set(wordings)) == len(wordings)
        for wording in wordings:
            numbers = [int(n) for n in re.findall(r"\d+", wording)]
            words = re.findall(r"[a-z-]+", wording)
            match skill:
                case "compare" | "compare_yes_no":
                    assert answer == RIGHT[skill](*numbers)
                case "count":
                    asked, *listed = (c for c in re.sub(r"\D", "", wording))
                    assert answer == str(listed.count(asked))
                case "join" | "spell":
                    assert answer.replace(" ", "") == re.sub(r"\D", "", wording)
                    assert (" " in answer) == (skill == "spell")
                case "repeat":
                    assert wording.endswith(f": {answer}")
                case "to_word":
                    assert answer == number_word(numbers[0])
                case "from_word":
                    assert number_word(int(answer)) in words
                case "subtract":
                    a, b = sorted(numbers, reverse=True)
                    assert int(answer) == a - b >= 0
                case _:
                    assert int(answer) == sum(numbers)


def test_the_order_of_two_numbers_decides_no_split() -> None:
    contents = {EXERCISES["add"](Random(seed))[0] for seed in range(200)}
    assert all(int(a) <= int(b) for a, b in (content.split("+") for content in contents))
