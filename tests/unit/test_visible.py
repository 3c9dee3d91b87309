"""What would steer a terminal is shown."""

import pytest

from phi4train.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("a\rb\x07\x9b2J", r"a\rb\x07\x9b2J"),
        ("\u202eabc\u2066\u2028", r"\u202eabc\u2066\u2028"),
        ("\ud83d", r"\ud83d"),
        ("line\n\ttab ü → 漢字 🙂 [red]", "line\n\ttab ü → 漢字 🙂 [red]"),
    ],
)
def test_control_characters_are_shown_and_letters_stay(text: str, shown: str) -> None:
    assert visible(text) == shown
