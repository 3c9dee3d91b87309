"""What metrics share whose results are by task and language."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Protocol, TypeVar

from rich.table import Table

from phi4train.evaluation.metrics.metric import ALL_TASKS, Form, Reply
from phi4train.evaluation.metrics.tables import empty_table, row_style


class LanguageResult(Protocol):
    """A result of one task and language."""

    @property
    def task(self) -> str:
        """Its task; `ALL_TASKS` of one over all."""

    @property
    def language(self) -> str:
        """Its language, as `base_language` gives it, or a pair."""

    @property
    def num_samples(self) -> int:
        """How many replies it is of."""


R = TypeVar("R", bound=LanguageResult)


def group_replies(
    replies: Iterable[Reply], language_of: Callable[[Reply], str]
) -> dict[tuple[str, str], list[Reply]]:
    """Replies by task and language, in alphabetical order."""
    members: dict[tuple[str, str], list[Reply]] = defaultdict(list)
    for reply in replies:
        members[reply.sample.task, language_of(reply)].append(reply)
    return dict(sorted(members.items()))


def mean_values(
    key: str, results: Sequence[R], value: Callable[[R], float], language_key: Callable[[R], str]
) -> dict[str, float]:
    """By key: the mean of all results (`key`), that of each task's (`key/<task>`), and every result.

    Each result weighs the same.

    Args:
        results: at least one, none of them over all tasks.
        value: number of a result.
        language_key: key that a result's number has; `/<task>/<language>` is added to it.
    """
    values = {key: _mean(results, value)}
    for result in results:
        task = result.task
        values[f"{language_key(result)}/{task}/{result.language}"] = value(result)
        values[f"{key}/{task}"] = _mean([one for one in results if one.task == task], value)
    return values


def language_table(
    title: str,
    columns: Sequence[str],
    results: Sequence[R],
    value: Callable[[R], float],
    form: Form,
    more: Callable[[R], Sequence[str]] = lambda _: (),
) -> Table:
    """A row a task and language, the mean of a task with several languages, and the rows over all tasks.

    Args:
        columns: heads of the numbers; that of the samples is added.
        results: sorted by task, those over all last.
        value: first number of a result, which is averaged.
        more: its other numbers, one a column.
    """
    table = empty_table(title, ("task", "language"), (*columns, "samples"))
    for task, group in groupby(results, key=lambda result: result.task):
        members = list(group)
        for one in members:
            cells = (form.shown(value(one)), *more(one), f"{one.num_samples:,}")
            table.add_row(task, one.language, *cells, style=row_style(task))
        if len(members) > 1 and task != ALL_TASKS:
            empty = [""] * (len(columns) - 1)
            cells = (
                form.shown(_mean(members, value)),
                *empty,
                f"{sum(one.num_samples for one in members):,}",
            )
            table.add_row(task, f"mean of {len(members)} languages", *cells, style="italic")
    return table


def _mean(results: Sequence[R], value: Callable[[R], float]) -> float:
    return sum(value(result) for result in results) / len(results)
