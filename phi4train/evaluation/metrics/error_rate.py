"""Word and character error rates of transcripts, by task and language.

A rate is that of a corpus: errors of all samples over units of all references, as `jiwer` counts them after
`normaliser.normalise_transcript`. Units are characters in Chinese and Japanese, words elsewhere.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from phi4train.evaluation.metrics.judging import ALL_LANGUAGES, JudgedText
from phi4train.evaluation.metrics.normaliser import UNSPACED_LANGUAGES, normalise_transcript
from phi4train.evaluation.metrics.perplexity import ALL_TASKS


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
    """

    task: str
    language: str
    unit: Unit
    num_errors: int
    num_units: int
    num_samples: int

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


def error_rates(transcripts: Iterable[JudgedText]) -> list[ErrorRate]:
    """One result a task and language in alphabetical order, then one a unit over all; empty without any.

    Of several references, the one that the hypothesis errs least from counts.
    """
    counts: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for one in transcripts:
        found = [count_errors(reference, one.hypothesis, one.language) for reference in one.references]
        nearest = min(found, key=lambda count: count[0] / max(1, count[1]))
        counts[one.task, one.language].append(nearest)
    results = [
        ErrorRate(
            task,
            language,
            unit_of(language),
            num_errors=sum(errors for errors, _ in members),
            num_units=sum(units for _, units in members),
            num_samples=len(members),
        )
        for (task, language), members in sorted(counts.items())
    ]
    return [*results, *(_merged(results, unit) for unit in Unit if any(r.unit is unit for r in results))]


def mean_rate(results: Sequence[ErrorRate], task: str | None = None) -> float:
    """Mean rate over the languages of a task, each weighing the same; None: over those of every task.

    Words and characters are averaged together, as in the reports of multilingual models.
    """
    rates = [r.rate for r in results if r.task != ALL_TASKS and task in (None, r.task)]
    return sum(rates) / len(rates)


def _merged(results: Sequence[ErrorRate], unit: Unit) -> ErrorRate:
    members = [result for result in results if result.unit is unit]
    return ErrorRate(
        ALL_TASKS,
        ALL_LANGUAGES,
        unit,
        num_errors=sum(result.num_errors for result in members),
        num_units=sum(result.num_units for result in members),
        num_samples=sum(result.num_samples for result in members),
    )
