"""What a curriculum has measured, a line a stage."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from phi4train.checkpoint.artifact import open_artifact
from phi4train.curriculum.regression_report import load_regression, regression_parts
from phi4train.evaluation.metrics import metric_keys as measured
from phi4train.run.record import RunRecord
from phi4train.training.watching import metric_keys as keys


@dataclass(frozen=True)
class _Metric:
    """A column of the summary."""

    column: str
    key: str
    form: str


_METRICS = (
    _Metric("perplexity", measured.PERPLEXITY, "{:.2f}"),
    _Metric("bigram's", measured.BASELINE_PERPLEXITY.format(scorer="bigram"), "{:.2f}"),
    _Metric("exact match", measured.ACCURACY, "{:.1%}"),
    _Metric("word errors", measured.WER, "{:.1%}"),
    _Metric("character errors", measured.CER, "{:.1%}"),
    _Metric("BLEU", measured.BLEU, "{:.1f}"),
)


def summary_table(artifacts: Sequence[Path]) -> Table:
    """Minutes of training steps and held-out results of each artifact; a column a metric that any has."""
    table = Table(title="Curriculum", title_justify="left")
    for name in ("stage", "artifact"):
        table.add_column(name)
    lineages = [open_artifact(path, needed_by="the summary").lineage for path in artifacts]
    metrics = [metric for metric in _METRICS if any(metric.key in lineage.results for lineage in lineages)]
    for name in ("steps", "minutes", *(metric.column for metric in metrics)):
        table.add_column(name, justify="right")
    for path, lineage in zip(artifacts, lineages, strict=True):
        steps = RunRecord.of_artifact(path).steps
        minutes = sum(step[keys.STEP_SECONDS] for step in steps) / 60
        table.add_row(
            lineage.stage,
            lineage.identity[:12],
            f"{len(steps):,}",
            f"{minutes:.1f}",
            *(_shown(lineage.results.get(metric.key), metric.form) for metric in metrics),
        )
    return table


def print_regressions(artifacts: Sequence[Path], console: Console) -> None:
    """Prints how far earlier metrics moved, for the artifacts that were compared; else how to compare one."""
    compared = False
    lineages = [open_artifact(path, needed_by="the summary").lineage for path in artifacts]
    for path, lineage in zip(artifacts, lineages, strict=True):
        found = load_regression(path.parent)
        if found is not None and found.identity == lineage.identity:
            console.print(*regression_parts(found), sep="\n")
            compared = True
    youngest = lineages[-1]
    if not compared and youngest.parents:
        console.print(
            f"`phi4train evaluate stage={youngest.stage} ... --regression` tells how far it moved what "
            "earlier stages measured."
        )


def _shown(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
