"""Words that are spoken: all different, and numbers in them as words."""

from random import Random

import pytest

from phi4train.demo.speech.words import COMMANDS, DIGIT_WORDS, LANGUAGES, spoken_digits, spoken_numbers


def test_numbers_in_a_question_become_words() -> None:
    assert spoken_numbers("How many 6s?") == "How many sixes?"
    assert spoken_numbers("Row 2, column 42?") == "Row two, column forty-two?"


def test_commands_are_all_different() -> None:
    assert len(set(COMMANDS)) == len(COMMANDS) == 21


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_ten_different_digits(language: str) -> None:
    assert len(set(DIGIT_WORDS[language])) == 10
    assert not any(character.isdigit() for word in DIGIT_WORDS[language] for character in word)


@pytest.mark.parametrize("language", LANGUAGES)
def test_digits_are_read_in_order_with_or_without_pauses(language: str) -> None:
    words = DIGIT_WORDS[language]
    spoken = {spoken_digits([7, 0, 7], language, Random(seed)) for seed in range(200)}
    assert spoken == {f"{words[7]} {words[0]} {words[7]}", f"{words[7]}, {words[0]}, {words[7]}"}


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("7s", "sevens"),
        ("Is 99 > 6?", "Is ninety-nine > six?"),
        ("no number", "no number"),
        ("16s", "sixteens"),
    ],
)
def test_every_number_of_a_text_is_said(text: str, spoken: str) -> None:
    assert spoken_numbers(text) == spoken
