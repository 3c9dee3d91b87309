"""An evaluation report as tables for the terminal."""

from collections.abc import Sequence
from itertools import groupby
from typing import TypeVar

from rich.console import Group
from rich.table import Table

from phi4train.evaluation.metrics.bleu import Bleu, mean_score
from phi4train.evaluation.metrics.error_rate import ErrorRate, mean_rate
from phi4train.evaluation.metrics.exact_match import Accuracy
from phi4train.evaluation.metrics.perplexity import ALL_TASKS, Perplexity
from phi4train.evaluation.report import EvaluationReport

_Result = TypeVar("_Result", ErrorRate, Bleu)


def report_tables(report: EvaluationReport) -> Group:
    """One table a metric that was measured, and a line about skipped samples if there are any."""
    parts: list[Table | str] = []
    if report.perplexities:
        parts.append(_perplexity_table(report.perplexities))
    if report.accuracies:
        parts.append(_accuracy_table(report.accuracies))
    if report.error_rates:
        parts.append(_error_rate_table(report.error_rates))
    if report.bleus:
        parts.append(_bleu_table(report.bleus))
    if report.skipped:
        causes = ", ".join(sorted({sample.cause for sample in report.skipped}))
        parts.append(f"{len(report.skipped)} samples could not be used: {causes}")
    return Group(*parts)


def _perplexity_table(results: tuple[Perplexity, ...]) -> Table:
    scorers = list(results[0].loss_sums)
    table = Table(title="Held-out perplexity")
    table.add_column("task")
    for column in (*scorers, "targets"):
        table.add_column(column, justify="right")
    for result in results:
        perplexities = [f"{result.perplexity(scorer):,.2f}" for scorer in scorers]
        table.add_row(result.task, *perplexities, f"{result.num_targets:,}", style=_style(result.task))
    return table


def _accuracy_table(results: tuple[Accuracy, ...]) -> Table:
    table = Table(title="Held-out exact match")
    table.add_column("task")
    for column in ("accuracy", "95 % interval", "samples"):
        table.add_column(column, justify="right")
    for result in results:
        low, high = result.interval
        interval = f"{100 * low:.1f} to {100 * high:.1f}"
        table.add_row(
            result.task,
            f"{100 * result.fraction:.1f} %",
            interval,
            f"{result.num_samples:,}",
            style=_style(result.task),
        )
    return table


def _error_rate_table(results: tuple[ErrorRate, ...]) -> Table:
    """A row a task and language, the mean of a task with several languages, and the rows over all."""
    table = Table(title="Held-out error rate")
    for column in ("task", "language"):
        table.add_column(column)
    for column in ("error rate", "errors", "of", "samples"):
        table.add_column(column, justify="right")
    parts = [result for result in results if result.task != ALL_TASKS]
    for task, members in _by_task(parts):
        for result in members:
            table.add_row(*_error_rate_cells(result))
        if len(members) > 1:
            table.add_row(
                *(task, f"mean of {len(members)} languages", f"{100 * mean_rate(members):.1f} %", "", ""),
                f"{sum(result.num_samples for result in members):,}",
                style="italic",
            )
    for result in results[len(parts) :]:
        table.add_row(*_error_rate_cells(result), style=_style(result.task))
    return table


def _error_rate_cells(result: ErrorRate) -> tuple[str, ...]:
    counted = f"{result.num_units:,} {result.unit.value}"
    rate = f"{100 * result.rate:.1f} %"
    return result.task, result.language, rate, f"{result.num_errors:,}", counted, f"{result.num_samples:,}"


def _bleu_table(results: tuple[Bleu, ...]) -> Table:
    """A row a task and language, and the mean of a task with several languages."""
    table = Table(title="Held-out BLEU")
    for column in ("task", "language"):
        table.add_column(column)
    for column in ("BLEU", "samples"):
        table.add_column(column, justify="right")
    for task, members in _by_task(results):
        for result in members:
            table.add_row(task, result.language, f"{result.score:.1f}", f"{result.num_samples:,}")
        if len(members) > 1:
            table.add_row(
                *(task, f"mean of {len(members)} languages", f"{mean_score(members):.1f}"),
                f"{sum(result.num_samples for result in members):,}",
                style="italic",
            )
    return table


def _by_task(results: Sequence[_Result]) -> list[tuple[str, list[_Result]]]:
    """Results that are sorted by task, as one list a task."""
    return [(task, list(members)) for task, members in groupby(results, key=lambda result: result.task)]


def _style(task: str) -> str:
    return "bold" if task == ALL_TASKS else ""
