"""Text from outside as a terminal may have it: what would steer the terminal is shown, not obeyed."""

import re

_STEERING = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)  # control characters but for tab and newline, directions of writing, lone surrogates


def visible(text: str) -> str:
    """The text with escapes such as `\\x1b` in place of its control characters."""
    return _STEERING.sub(lambda found: found.group().encode("unicode_escape").decode(), text)
