"""What a curriculum has measured, a line a stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from phi4train.checkpoint.artifact import open_artifact
from phi4train.curriculum.regression_report import load_regression, regression_parts
from phi4train.evaluation.metrics.metric import Quantity
from phi4train.evaluation.metrics.registry import quantities
from phi4train.plain_text import PlainTable, say
from phi4train.run.record import RunRecord
from phi4train.training.watching import metric_keys as keys


@dataclass(frozen=True)
class Row:
    """What one stage has measured."""

    stage: str
    identity: str
    num_steps: int
    minutes: float
    results: Mapping[str, float]


def summary_table(artifacts: Sequence[Path], width: int) -> Table:
    """Minutes of training steps and held-out results of each artifact.

    Args:
        artifacts: in the order of training.
        width: of the terminal, in columns; where a column a metric does not fit, metrics stand in lines.
    """
    rows = [_row(path) for path in artifacts]
    wide, unbounded = _wide_table(rows), Console(width=1000)
    needed = Measurement.get(unbounded, unbounded.options, wide).maximum
    return wide if needed <= width else _narrow_table(rows)


def _row(path: Path) -> Row:
    lineage = open_artifact(path, needed_by="the summary").lineage
    steps = RunRecord.of_artifact(path).steps
    seconds = [step.get(keys.STEP_SECONDS) for step in steps]
    minutes = sum(one for one in seconds if isinstance(one, int | float)) / 60
    return Row(lineage.stage, lineage.identity[:12], len(steps), minutes, lineage.results)


def _measured(rows: Sequence[Row]) -> list[Quantity]:
    return [one for one in quantities() if one.column and any(one.key in row.results for row in rows)]


def _wide_table(rows: Sequence[Row]) -> Table:
    """A column a metric that any stage has."""
    table, measured = PlainTable(title="Curriculum", title_justify="left"), _measured(rows)
    for name in ("stage", "artifact"):
        table.add_column(name)
    for name in ("steps", "minutes", *(quantity.column for quantity in measured)):
        table.add_column(name, justify="right")
    for row in rows:
        results = (_shown(row.results.get(quantity.key), quantity) for quantity in measured)
        table.add_row(row.stage, row.identity, f"{row.num_steps:,}", f"{row.minutes:.1f}", *results)
    return table


def _narrow_table(rows: Sequence[Row]) -> Table:
    """A line of results a stage, which wraps between words; no stage's name is cut."""
    table = PlainTable(title="Curriculum", title_justify="left")
    table.add_column("stage", no_wrap=True)
    table.add_column("trained and measured")
    for row in rows:
        results = [
            f"{quantity.column} {_shown(row.results[quantity.key], quantity)}"
            for quantity in _measured([row])
        ]
        told = [f"{row.num_steps:,} steps", f"{row.minutes:.1f} minutes", *results]
        table.add_row(row.stage, ", ".join(told))
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
