"""Exact match of short answers, by task, with a confidence interval."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from phi4train.evaluation.metrics.intervals import wilson_interval
from phi4train.evaluation.metrics.metric import ALL_TASKS, PERCENT, AnswerMetric, Quantity, Reply
from phi4train.evaluation.metrics.tables import empty_table, row_style

ACCURACY = "eval/accuracy"


def normalise(answer: str) -> str:
    """The answer without case, runs of white space and a final period: all that exact match overlooks."""
    return " ".join(answer.casefold().split()).removesuffix(".").rstrip()


def is_match(reply: Reply) -> bool:
    """Whether a reply equals one of the accepted answers after `normalise`."""
    return normalise(reply.text) in {normalise(one) for one in reply.sample.answers}


@dataclass(frozen=True)
class Accuracy:
    """How many answers of a task match."""

    task: str
    num_correct: int
    num_samples: int

    @property
    def fraction(self) -> float:
        """Share of answers that match."""
        return self.num_correct / self.num_samples

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the share."""
        return wilson_interval(self.num_correct, self.num_samples)


def accuracies(replies: Sequence[Reply]) -> list[Accuracy]:
    """One result a task in alphabetical order, then one over all."""
    counted = Counter((reply.sample.task, is_match(reply)) for reply in replies)
    tasks = sorted({task for task, _ in counted})
    results = [
        Accuracy(task, counted[task, True], counted[task, True] + counted[task, False]) for task in tasks
    ]
    correct = sum(result.num_correct for result in results)
    return [*results, Accuracy(ALL_TASKS, correct, len(replies))]


def _values(results: Sequence[Accuracy]) -> dict[str, float]:
    return {
        ACCURACY if result.task == ALL_TASKS else f"{ACCURACY}/{result.task}": result.fraction
        for result in results
    }


def _row(result: Accuracy) -> dict[str, Any]:
    return {
        "task": result.task,
        "num_correct": result.num_correct,
        "num_samples": result.num_samples,
        "fraction": result.fraction,
        "interval_95": list(result.interval),
    }


def _table(results: Sequence[Accuracy]) -> Table:
    table = empty_table("exact match", ["task"], ["accuracy", "95 % interval", "samples"])
    for result in results:
        low, high = result.interval
        table.add_row(
            result.task,
            PERCENT.shown(result.fraction),
            f"{100 * low:.1f} to {100 * high:.1f}",
            f"{result.num_samples:,}",
            style=row_style(result.task),
        )
    return table


EXACT_MATCH = AnswerMetric(
    name="accuracy",
    quantities=(
        Quantity(ACCURACY, PERCENT, is_lower_better=False, words="exact match", column="exact match"),
    ),
    values=_values,
    row=_row,
    table=_table,
    task_words=(),
    score=accuracies,
    is_right=is_match,
)
"""Judges every task that no other metric does."""
