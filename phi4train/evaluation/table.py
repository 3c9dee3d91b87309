"""An evaluation report as tables for the terminal."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from phi4train.evaluation.metrics.registry import all_metrics
from phi4train.evaluation.report import EvaluationReport
from phi4train.visible import visible


def report_tables(report: EvaluationReport) -> Group:
    """One table a metric that was measured, and a line about skipped samples if there are any."""
    parts: list[Table | Text] = [
        metric.table(found) for metric in all_metrics() if (found := report.results_of(metric))
    ]
    if report.skipped:
        causes = ", ".join(sorted({sample.cause for sample in report.skipped}))
        parts.append(Text(visible(f"{len(report.skipped)} samples could not be used: {causes}")))
    return Group(*parts)
