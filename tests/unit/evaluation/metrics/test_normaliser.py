"""What error rates overlook, and what they do not."""

import unicodedata

import pytest

from phi4train.evaluation.metrics.normaliser import UNKNOWN_LANGUAGE, base_language, normalise_transcript


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't stop -- it's 3.5 km!", "dont stop its 3.5 km"),
        ("don\u2019t", "dont"),
        ("well-known", "well known"),
        ("Wait.Go", "wait go"),
        ("5, 6,7", "5 6,7"),
        ("It costs 1,000.50. At 10:30, on 1/2.", "it costs 1,000.50 at 10:30 on 1/2"),
        ("2010-2015", "2010 2015"),
        ("-7 and .5", "7 and 5"),
        ("STRASSE und Straße", "strasse und strasse"),
        ("e\u0301te\u0301", "été"),
        ("\uff17\uff18", "78"),
        ("seven 7", "seven 7"),
        ("50 € + 3 %", "50 € + 3"),
        ("  one\n\ttwo\u3000three ", "one two three"),
        ("¿Qué? «oui» …", "qué oui"),
        ("", ""),
        ("...!", ""),
    ],
)
def test_only_form_is_overlooked(text: str, expected: str) -> None:
    assert normalise_transcript(text, "en") == expected


@pytest.mark.parametrize("language", ["zh", "ja"])
def test_languages_without_spaces_keep_none(language: str) -> None:
    assert normalise_transcript("今天 气温\uff0c\uff13\uff10 度。\n", language) == "今天气温30度"
    assert normalise_transcript("7 1 0", language) == "710"


def test_normalising_twice_changes_nothing() -> None:
    texts = ["Don't — stop: 3.5, ½ ﬁ", "\u1fb7\u0345 ǅ İ", "a" + unicodedata.lookup("COMBINING DOT ABOVE")]
    for text in texts:
        once = normalise_transcript(text, "en")
        assert normalise_transcript(once, "en") == once


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("zh-CN", "zh"),
        ("ZH_Hans", "zh"),
        ("en", "en"),
        (" ja ", "ja"),
        (None, UNKNOWN_LANGUAGE),
        ("", "unknown"),
    ],
)
def test_region_script_and_case_of_a_language_do_not_matter(language: str | None, expected: str) -> None:
    assert base_language(language) == expected
