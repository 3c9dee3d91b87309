"""Words that are spoken: all different, and numbers in them as words."""

from phi4train.demo.speech.words import COMMANDS, spoken_numbers


def test_numbers_in_a_question_become_words() -> None:
    assert spoken_numbers("How many 6s?") == "How many sixes?"
    assert spoken_numbers("Row 2, column 42?") == "Row two, column forty-two?"


def test_commands_are_all_different() -> None:
    assert len(set(COMMANDS)) == len(COMMANDS) == 21
