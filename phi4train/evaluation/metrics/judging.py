"""Which metric judges an answer: that follows from the name of its task, here and nowhere else.

    asr_*           transcripts     word error rate; character error rate in Chinese and Japanese
    ast_*           translations    BLEU
    any other       short answers   exact match

An accepted answer `transcript <sep> translation` of an `ast_*` task is judged in two parts: what is behind
the separator as the task's translation, what is before it as a transcript of the task `<task>_transcript`. An
answer without the separator then has no translation.

A sample's `language` is what is spoken. The language of a translation is its `meta.target_language`; where a
sample does not say it, the script of the references decides how BLEU splits them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from phi4train.data.samples.records import Sample
from phi4train.evaluation.metrics.exact_match import is_match
from phi4train.evaluation.metrics.normaliser import base_language, normalise_transcript

SEPARATOR = "<sep>"
"""Between transcript and translation of one answer."""

TRANSCRIPT_TASK = "{task}_transcript"
"""Task of the transcripts that come before the translations of a task."""

ALL_LANGUAGES = "all"
"""Language of the result over every language."""


class Judge(Enum):
    """A way to judge answers."""

    exact_match = "exact match"
    error_rate = "error rate"
    bleu = "BLEU"


JUDGE_BY_PREFIX: Mapping[str, Judge] = {"asr": Judge.error_rate, "ast": Judge.bleu}
"""By the first word of a task's name; any other is judged by exact match."""


def judge_of(task: str) -> Judge:
    """How the answers of a task are judged."""
    return JUDGE_BY_PREFIX.get(task.split("_")[0], Judge.exact_match)


@dataclass(frozen=True)
class JudgedText:
    """A text beside what it should have been.

    Args:
        language: that its result is listed under: what is spoken, as `base_language` gives it; `de-en` of a
            translation whose target is known.
        references: accepted texts, at least one.
        target_language: of a translation; None: unknown.
    """

    task: str
    language: str
    references: tuple[str, ...]
    hypothesis: str
    target_language: str | None = None


@dataclass
class Judgements:
    """Answers by the metric that judges them.

    Args:
        outcomes: task and whether the answer matched.
        transcripts: judged by error rate.
        translations: judged by BLEU.
    """

    outcomes: list[tuple[str, bool]] = field(default_factory=list)
    transcripts: list[JudgedText] = field(default_factory=list)
    translations: list[JudgedText] = field(default_factory=list)


def judge_answers(answers: Iterable[tuple[Sample, str]]) -> Judgements:
    """Sorts answers by the metric of their task.

    Args:
        answers: samples that have accepted answers, and what the model said.
    """
    judged = Judgements()
    for sample, text in answers:
        judge = judge_of(sample.task)
        if judge is Judge.exact_match:
            judged.outcomes.append((sample.task, is_match(text, sample.answers)))
        elif judge is Judge.error_rate:
            language = base_language(sample.language)
            judged.transcripts.append(JudgedText(sample.task, language, sample.answers, text))
        else:
            _judge_translation(sample, text, judged)
    return judged


def is_right(sample: Sample, text: str) -> bool:
    """Whether an answer has nothing to be improved: it matches, or is a transcript without an error."""
    if judge_of(sample.task) is not Judge.error_rate:
        return is_match(text, sample.answers)
    language = base_language(sample.language)
    accepted = {normalise_transcript(answer, language) for answer in sample.answers}
    return normalise_transcript(text, language) in accepted


def _judge_translation(sample: Sample, text: str, judged: Judgements) -> None:
    """Appends the translation, and the transcript where the accepted answers hold one."""
    spoken, named = base_language(sample.language), sample.meta.get("target_language")
    target = base_language(named) if isinstance(named, str) else None
    pair = spoken if target is None else f"{spoken}-{target}"
    references, hypothesis = sample.answers, text
    parts = [_split(answer) for answer in sample.answers if SEPARATOR in answer]
    if parts:
        task = TRANSCRIPT_TASK.format(task=sample.task)
        transcripts, references = zip(*parts, strict=True)
        transcript, hypothesis = _split(text)
        judged.transcripts.append(JudgedText(task, spoken, transcripts, transcript))
    judged.translations.append(JudgedText(sample.task, pair, references, hypothesis, target))


def _split(answer: str) -> tuple[str, str]:
    """Transcript and translation, without white space around them."""
    before, _, behind = answer.partition(SEPARATOR)
    return before.strip(), behind.strip()
