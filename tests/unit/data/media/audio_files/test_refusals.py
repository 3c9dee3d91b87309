"""Refusals of audio: each has its cause and says what was found."""

from phi4train.data.media.audio_files.refusals import broken, chained, truncated


def test_each_refusal_has_its_cause_and_says_what_was_found() -> None:
    for refuse, cause in (
        (broken, "broken_audio"),
        (truncated, "truncated_audio"),
        (chained, "chained_audio"),
    ):
        error = refuse("9 of 10 bytes")
        assert error.cause == cause and " · found 9 of 10 bytes · " in str(error)
