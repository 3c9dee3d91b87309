"""An evaluation report as tables for the terminal."""

from rich.console import Group
from rich.table import Table

from phi4train.evaluation.metrics.registry import all_metrics
from phi4train.evaluation.report import EvaluationReport
from phi4train.plain_text import escaped


def report_tables(report: EvaluationReport) -> Group:
    """One table a metric that was measured, and a line about skipped samples if there are any."""
    parts: list[Table | str] = [
        metric.table(found) for metric in all_metrics() if (found := report.results_of(metric))
    ]
    if report.skipped:
        causes = ", ".join(sorted({sample.cause for sample in report.skipped}))
        parts.append(escaped(f"{len(report.skipped)} samples could not be used: {causes}"))
    return Group(*parts)
