"""Exercises are right, and held-out ones stay out of training."""

import re
from random import Random

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
