"""Transcripts without the differences that are no errors of recognition: case, punctuation, white space.

    "Don't stop -- it's 3.5 km!"   ->  "dont stop its 3.5 km"
    "今天 气温，３０度。"  (zh)       ->  "今天气温30度"

In this order:

1. Unicode NFKC: full-width and composed forms become the usual ones.
2. Case folded (and NFKC again, which folding may leave).
3. Punctuation (Unicode category P) goes: apostrophes without a trace, so that `don't` stays one word, all
   other marks as white space, so that `well-known` is two. `.` `,` `:` and `/` between two digits belong to
   the number and stay. Symbols (`+`, `€`, `°`) are spoken, and stay.
4. Digits stay digits: `7` and `seven` differ.
5. Runs of white space become one space; in languages that are written without spaces none is left.
"""

import re
import unicodedata

UNKNOWN_LANGUAGE = "unknown"
"""Language of a sample that names none; its words are counted."""

UNSPACED_LANGUAGES = frozenset(("ja", "zh"))
"""Languages written without spaces, whose characters are counted instead of words."""

_APOSTROPHES = frozenset("'`\u2018\u2019\u02bc")
_IN_NUMBERS = frozenset(".,:/")


def base_language(language: str | None) -> str:
    """Language code without region or script, lower case: `zh` of `zh-CN`; `unknown` of None."""
    return re.split(r"[-_]", (language or "").strip())[0].casefold() or UNKNOWN_LANGUAGE


def normalise_transcript(text: str, language: str) -> str:
    """The text as error rates compare it.

    Args:
        language: as `base_language` gives it.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    # Ends are padded so that every mark has two neighbours.
    marks = zip(f" {folded}", folded, f"{folded[1:]} ", strict=False)
    kept = "".join(_kept(before, mark, after) for before, mark, after in marks)
    return ("" if language in UNSPACED_LANGUAGES else " ").join(kept.split())


def _kept(before: str, mark: str, after: str) -> str:
    if mark in _APOSTROPHES:
        return ""
    if not unicodedata.category(mark).startswith("P"):
        return mark
    is_in_number = mark in _IN_NUMBERS and before.isdigit() and after.isdigit()
    return mark if is_in_number else " "
