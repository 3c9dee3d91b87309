"""How far earlier metrics moved: values, file and table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from phi4train.evaluation.metrics.metric import Form, overall_key
from phi4train.evaluation.metrics.registry import quantity_of
from phi4train.files import write_atomically
from phi4train.plain_text import PlainTable
from phi4train.visible import visible

FILE_NAME = "regression.json"
FORMAT = 1

_STYLES = {"better": "green", "worse": "red", "same": "dim", "moved": "yellow"}
_FORM_OF_UNKNOWN = Form(digits=3, compared_digits=3)


@dataclass(frozen=True)
class MetricChange:
    """One metric after the stage that first measured it, and after a later one."""

    metric: str
    before: float
    after: float

    @property
    def change(self) -> float:
        """After minus before; 0 also where both are infinite."""
        return 0.0 if self.after == self.before else self.after - self.before

    @property
    def verdict(self) -> str:
        """`same` (to the last bit), `better` or `worse`; a value that is no number is worse.

        `moved` where no known metric says which way is better: a recipe no longer imports it.
        """
        if self.after == self.before:
            return "same"
        quantity = quantity_of(self.metric)
        if quantity is None:
            return "moved"
        is_lower = self.after < self.before
        is_higher = self.after > self.before
        return "better" if (is_lower if quantity.is_lower_better else is_higher) else "worse"


@dataclass(frozen=True)
class AncestorChanges:
    """What became of the metrics of one ancestor.

    Args:
        manifest: held-out data; None where it is not known.
        changes: empty where nothing could be compared.
        notes: why nothing could, or what to mind.
    """

    stage: str
    manifest: str | None
    changes: tuple[MetricChange, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Regression:
    """A stage beside all its ancestors.

    Args:
        identity: of the stage's artifact.
        ancestors: parents before their children.
    """

    stage: str
    identity: str
    ancestors: tuple[AncestorChanges, ...]


def save_regression(regression: Regression, run: Path) -> Path:
    """Writes the file into a run folder, atomically, and returns its path."""
    path = run / FILE_NAME
    write_atomically(path, json.dumps(_as_dict(regression), indent=2, ensure_ascii=False).encode())
    return path


def load_regression(run: Path) -> Regression | None:
    """What a run folder holds; None without a file of this version."""
    path = run / FILE_NAME
    document = json.loads(path.read_text()) if path.is_file() else {}
    return _from_dict(document) if document.get("format") == FORMAT else None


def regression_parts(regression: Regression) -> list[Table | Text]:
    """A table with a section an ancestor, and a line for each note."""
    table = PlainTable(title=f"Earlier metrics after {regression.stage}", title_justify="left")
    for column in ("stage", "metric"):
        table.add_column(column)
    for column in ("after that stage", f"after {regression.stage}", "change"):
        table.add_column(column, justify="right")
    table.add_column("")
    for ancestor in regression.ancestors:
        for position, change in enumerate(ancestor.changes):
            style = "bold" if overall_key(change.metric) == change.metric else ""
            table.add_row(ancestor.stage if position == 0 else "", *_cells(change), style=style)
        table.add_section()
    notes = [
        Text(visible(f"{ancestor.stage}: {note}"))
        for ancestor in regression.ancestors
        for note in ancestor.notes
    ]
    if not regression.ancestors:
        told = f"{regression.stage} starts from no other stage: there is nothing to compare."
        return [Text(visible(told))]
    return [table, *notes] if any(ancestor.changes for ancestor in regression.ancestors) else list(notes)


def _cells(change: MetricChange) -> tuple[str | Text, ...]:
    quantity, verdict = quantity_of(change.metric), change.verdict
    form = _FORM_OF_UNKNOWN if quantity is None else quantity.form
    moved = "0" if verdict == "same" else form.difference(change.change)
    values = (form.compared(change.before), form.compared(change.after))
    return change.metric.removeprefix("eval/"), *values, moved, Text(verdict, style=_STYLES[verdict])


def _as_dict(regression: Regression) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "stage": regression.stage,
        "artifact": regression.identity,
        "ancestors": [
            {
                "stage": ancestor.stage,
                "manifest": ancestor.manifest,
                "changes": [
                    {**vars(change), "change": change.change, "verdict": change.verdict}
                    for change in ancestor.changes
                ],
                "notes": list(ancestor.notes),
            }
            for ancestor in regression.ancestors
        ],
    }


def _from_dict(document: Mapping[str, Any]) -> Regression:
    return Regression(
        document["stage"],
        document["artifact"],
        tuple(
            AncestorChanges(
                ancestor["stage"],
                ancestor["manifest"],
                tuple(
                    MetricChange(one["metric"], one["before"], one["after"]) for one in ancestor["changes"]
                ),
                tuple(ancestor["notes"]),
            )
            for ancestor in document["ancestors"]
        ),
    )
