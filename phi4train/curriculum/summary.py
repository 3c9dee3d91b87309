"""What a curriculum has measured, a line a stage."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from phi4train.checkpoint.artifact import open_artifact
from phi4train.curriculum.regression_report import load_regression, regression_parts
from phi4train.evaluation.metrics.metric import Quantity
from phi4train.evaluation.metrics.registry import quantities
from phi4train.plain_text import PlainTable, say
from phi4train.run.record import RunRecord
from phi4train.training.watching import metric_keys as keys


def summary_table(artifacts: Sequence[Path]) -> Table:
    """Minutes of training steps and held-out results of each artifact; a column a metric that any has."""
    table = PlainTable(title="Curriculum", title_justify="left")
    for name in ("stage", "artifact"):
        table.add_column(name)
    lineages = [open_artifact(path, needed_by="the summary").lineage for path in artifacts]
    results = [lineage.results for lineage in lineages]
    measured = [one for one in quantities() if one.column and any(one.key in found for found in results)]
    for name in ("steps", "minutes", *(quantity.column for quantity in measured)):
        table.add_column(name, justify="right")
    for path, lineage in zip(artifacts, lineages, strict=True):
        steps = RunRecord.of_artifact(path).steps
        seconds = [step.get(keys.STEP_SECONDS) for step in steps]
        minutes = sum(one for one in seconds if isinstance(one, int | float)) / 60
        table.add_row(
            lineage.stage,
            lineage.identity[:12],
            f"{len(steps):,}",
            f"{minutes:.1f}",
            *(_shown(lineage.results.get(quantity.key), quantity) for quantity in measured),
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
        say(
            console,
            f"`phi4train evaluate stage={youngest.stage} ... --regression` tells how far it moved what "
            "earlier stages measured.",
        )


def _shown(value: float | None, quantity: Quantity) -> str:
    return "" if value is None else quantity.form.shown(value)
