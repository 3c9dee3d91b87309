"""Answers of two parts: `transcript <sep> translation`."""

from collections.abc import Mapping
from dataclasses import replace

from phi4train.evaluation.metrics.error_rate import ERROR_RATE
from phi4train.evaluation.metrics.metric import Reply

SEPARATOR = "<sep>"
"""Between transcript and translation of one answer."""

TRANSCRIPT_TASK = "{task}_transcript"
"""Task of the transcripts that come before the translations of a task."""


def split_transcript(reply: Reply) -> tuple[Reply, Mapping[str, Reply]]:
    """What is behind the separator, and what is before it for the error rate; see `AnswerMetric.split`.

    The accepted answers decide: where none has a separator, the reply stays whole; where one has, a reply
    without it has no translation.
    """
    sample = reply.sample
    parts = [_halves(answer) for answer in sample.answers if SEPARATOR in answer]
    if not parts:
        return reply, {}
    transcripts, translations = zip(*parts, strict=True)
    before, behind = _halves(reply.text)
    task = TRANSCRIPT_TASK.format(task=sample.task)
    transcript = Reply(replace(sample, task=task, answers=transcripts), before)
    return Reply(replace(sample, answers=translations), behind), {ERROR_RATE.name: transcript}


def _halves(answer: str) -> tuple[str, str]:
    """Transcript and translation, without white space around them."""
    before, _, behind = answer.partition(SEPARATOR)
    return before.strip(), behind.strip()
