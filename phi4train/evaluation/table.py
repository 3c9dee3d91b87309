"""An evaluation report as tables for the terminal."""

from rich.console import Group
from rich.table import Table

from phi4train.evaluation.exact_match import Accuracy
from phi4train.evaluation.perplexity import ALL_TASKS, Perplexity
from phi4train.evaluation.report import EvaluationReport


def report_tables(report: EvaluationReport) -> Group:
    """One table a metric that was measured, and a line about skipped samples if there are any."""
    parts: list[Table | str] = []
    if report.perplexities:
        parts.append(_perplexity_table(report.perplexities))
    if report.accuracies:
        parts.append(_accuracy_table(report.accuracies))
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


def _style(task: str) -> str:
    return "bold" if task == ALL_TASKS else ""
