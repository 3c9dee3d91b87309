"""Word and character error rates of transcripts, by task and language.

A rate is that of a corpus: errors of all samples over units of all references, as `jiwer` counts them after
`normaliser.normalise_transcript`. Units are characters in Chinese and Japanese, words elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from rich.table import Table

from phi4train.evaluation.metrics.by_language import group_replies, language_table, mean_values
from phi4train.evaluation.metrics.intervals import bootstrap_interval
from phi4train.evaluation.metrics.metric import (
    ALL_LANGUAGES,
    ALL_TASKS,
    PERCENT,
    AnswerMetric,
    Quantity,
    Reply,
)
from phi4train.evaluation.metrics.normaliser import UNSPACED_LANGUAGES, base_language, normalise_transcript

MEAN_ERROR_RATE = "eval/error_rate"
"""Mean of the word or character error rates over tasks and languages, each weighing the same.

Words and characters are averaged together, as in the reports of multilingual models.
"""
WER = "eval/wer"
"""Over all words of all tasks."""
CER = "eval/cer"
"""Over all characters of all tasks in languages written without spaces."""


class Unit(Enum):
    """What is counted."""

    words = "words"
    characters = "characters"


@dataclass(frozen=True)
class ErrorRate:
    """Errors in the transcripts of one task and language.

    Args:
        num_errors: substitutions, deletions and insertions.
        num_units: words or characters of the references.
        interval: 95 % interval of the rate, see `bootstrap_interval`.
    """

    task: str
    language: str
    unit: Unit
    num_errors: int
    num_units: int
    num_samples: int
    interval: tuple[float, float] | None = field(default=None, compare=False)

    @property
    def rate(self) -> float:
        """Errors per unit of the references; may exceed 1. Without a unit: the errors, as in jiwer."""
        return self.num_errors / max(1, self.num_units)


def unit_of(language: str) -> Unit:
    """What is counted in a language."""
    return Unit.characters if language in UNSPACED_LANGUAGES else Unit.words


def count_errors(reference: str, hypothesis: str, language: str) -> tuple[int, int]:
    """Errors of a transcript, and units of its reference."""
    import jiwer  # here, so that evaluating text and images does not need it

    reference, hypothesis = (normalise_transcript(text, language) for text in (reference, hypothesis))
    if unit_of(language) is Unit.characters:
        letters = jiwer.process_characters(reference, hypothesis)
        errors = letters.substitutions + letters.deletions + letters.insertions
        return errors, letters.hits + letters.substitutions + letters.deletions
    words = jiwer.process_words(reference, hypothesis)
    errors = words.substitutions + words.deletions + words.insertions
    return errors, words.hits + words.substitutions + words.deletions


def error_rates(transcripts: Sequence[Reply]) -> list[ErrorRate]:
    """One result a task and language in alphabetical order, then one a unit over all."""
    counts = {
        (task, language): [_fewest_errors(one, language) for one in members]
        for (task, language), members in group_replies(transcripts, _language_of).items()
    }
    by_unit: dict[Unit, list[tuple[int, int]]] = {}
    for (_, language), found in counts.items():
        by_unit.setdefault(unit_of(language), []).extend(found)
    return [
        *(_rate_of(task, language, unit_of(language), found) for (task, language), found in counts.items()),
        *(_rate_of(ALL_TASKS, ALL_LANGUAGES, unit, by_unit[unit]) for unit in Unit if unit in by_unit),
    ]


def is_without_error(transcript: Reply) -> bool:
    """Whether a transcript equals one of the accepted ones after `normalise_transcript`."""
    language = _language_of(transcript)
    accepted = {normalise_transcript(answer, language) for answer in transcript.sample.answers}
    return normalise_transcript(transcript.text, language) in accepted


def _language_of(transcript: Reply) -> str:
    return base_language(transcript.sample.language)


def _rate_of(task: str, language: str, unit: Unit, counts: Sequence[tuple[int, int]]) -> ErrorRate:
    return ErrorRate(
        task,
        language,
        unit,
        num_errors=sum(errors for errors, _ in counts),
        num_units=sum(units for _, units in counts),
        num_samples=len(counts),
        interval=bootstrap_interval(counts),
    )


def _fewest_errors(transcript: Reply, language: str) -> tuple[int, int]:
    """Errors and units of the reference that the transcript errs least from."""
    found = [count_errors(answer, transcript.text, language) for answer in transcript.sample.answers]
    return min(found, key=lambda count: count[0] / max(1, count[1]))


def _values(results: Sequence[ErrorRate]) -> dict[str, float]:
    parts = [result for result in results if result.task != ALL_TASKS]
    return {
        **mean_values(MEAN_ERROR_RATE, parts, lambda result: result.rate, _key_of),
        **{_key_of(result): result.rate for result in results if result.task == ALL_TASKS},
    }


def _key_of(result: ErrorRate) -> str:
    return WER if result.unit is Unit.words else CER


def _row(result: ErrorRate) -> dict[str, Any]:
    values = {key: value for key, value in vars(result).items() if key != "interval"}
    interval = list(result.interval) if result.interval is not None else None
    return {**values, "unit": result.unit.name, "rate": result.rate, "interval_95": interval}


def _table(results: Sequence[ErrorRate]) -> Table:
    columns = ("error rate", "95 % interval", "errors", "of")
    return language_table("error rate", columns, results, lambda result: result.rate, PERCENT, _counts)


def _counts(result: ErrorRate) -> tuple[str, str, str]:
    interval = (
        "" if result.interval is None else "{:.1f} to {:.1f}".format(*(100 * end for end in result.interval))
    )
    return interval, f"{result.num_errors:,}", f"{result.num_units:,} {result.unit.value}"


ERROR_RATE = AnswerMetric(
    name="error_rate",
    quantities=(
        Quantity(MEAN_ERROR_RATE, PERCENT, is_lower_better=True),
        Quantity(WER, PERCENT, is_lower_better=True, words="word error rate", column="word errors"),
        Quantity(CER, PERCENT, is_lower_better=True, words="character error rate", column="character errors"),
    ),
    values=_values,
    row=_row,
    table=_table,
    task_words=("asr",),
    score=error_rates,
    is_right=is_without_error,
)
"""Judges transcripts."""
