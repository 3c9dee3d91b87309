"""chrF as a metric of one's own: how many runs of characters an answer shares with the accepted one.

Everything that phi4train must know stands in this file, and is registered at its end; `imports:
[chrf_metric]` in a recipe is all that calls it. It judges the tasks whose names start with `rewrite`.

Source: M. Popović, chrF: character n-gram F-score for automatic MT evaluation, WMT 2015; as sacrebleu has it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from rich.table import Table
from sacrebleu.metrics.chrf import CHRF

from phi4train.evaluation.metrics.by_language import group_replies, language_table, mean_values
from phi4train.evaluation.metrics.exact_match import is_match
from phi4train.evaluation.metrics.metric import AnswerMetric, Form, Quantity, Reply
from phi4train.evaluation.metrics.normaliser import base_language
from phi4train.evaluation.metrics.registry import register_metric

KEY = "eval/chrf"
FORM = Form(digits=1, compared_digits=2)


@dataclass(frozen=True)
class Chrf:
    """chrF of the answers of one task and language.

    Args:
        score: of all answers together, 0 to 100.
        signature: sacrebleu's account of how it was computed.
    """

    task: str
    language: str
    score: float
    num_samples: int
    signature: str


def chrf_scores(replies: Sequence[Reply]) -> list[Chrf]:
    """One result a task and language, in alphabetical order; every accepted answer is a reference."""
    groups = group_replies(replies, lambda reply: base_language(reply.sample.language))
    return [_score(task, language, members) for (task, language), members in groups.items()]


def _score(task: str, language: str, members: Sequence[Reply]) -> Chrf:
    # Row k holds the k-th reference of each sample; None where a sample has fewer.
    rows = [list(row) for row in zip_longest(*(one.sample.answers for one in members))]
    metric = CHRF()
    found = metric.corpus_score([one.text for one in members], rows)
    return Chrf(task, language, found.score, len(members), str(metric.get_signature()))


def _value(result: Chrf) -> float:
    return result.score


def _values(results: Sequence[Chrf]) -> dict[str, float]:
    return mean_values(KEY, results, _value, lambda _: KEY)


def _table(results: Sequence[Chrf]) -> Table:
    return language_table("chrF", ["chrF"], results, _value, FORM)


register_metric(
    AnswerMetric(
        name="chrf",
        task_words=("rewrite",),
        score=chrf_scores,
        is_right=is_match,
        quantities=(Quantity(KEY, FORM, is_lower_better=False, words="chrF", column="chrF"),),
        values=_values,
        row=vars,
        table=_table,
    )
)
