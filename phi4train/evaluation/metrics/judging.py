"""Answers go to the metric that judges them: the first word of the task's name decides, and nothing else.

    asr_*           transcripts     word error rate; character error rate in Chinese and Japanese
    ast_*           translations    BLEU
    any other       short answers   exact match

A metric may hand on a part of an answer to another one (`separated.py`). More words: `registry.py`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from phi4train.evaluation.metrics.metric import Reply
from phi4train.evaluation.metrics.registry import metric_named, metric_of


def judge_replies(replies: Iterable[Reply]) -> dict[str, tuple[Any, ...]]:
    """Results by the name of the metric, of those that had something to judge."""
    judged = sort_replies(replies)
    return {name: tuple(metric_named(name).score(members)) for name, members in judged.items()}


def sort_replies(replies: Iterable[Reply]) -> Mapping[str, list[Reply]]:
    """Replies, or their parts, by the name of the metric that judges them."""
    judged: dict[str, list[Reply]] = {}
    for reply in replies:
        metric = metric_of(reply.sample.task)
        own, others = metric.split(reply)
        for name, part in {metric.name: own, **others}.items():
            judged.setdefault(name, []).append(part)
    return judged


def is_right(reply: Reply) -> bool:
    """Whether the metric of its task finds nothing to be improved."""
    return metric_of(reply.sample.task).is_right(reply)
