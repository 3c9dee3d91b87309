"""The form that the tables of all metrics have."""

from collections.abc import Iterable

from rich.table import Table

from phi4train.evaluation.metrics.metric import ALL_TASKS
from phi4train.plain_text import PlainTable


def empty_table(title: str, labels: Iterable[str], numbers: Iterable[str]) -> Table:
    """A table without rows.

    Args:
        title: what was measured; `Held-out` is put before it.
        labels: heads of the columns with words.
        numbers: heads of those with numbers, which end at the right.
    """
    table = PlainTable(title=f"Held-out {title}")
    for column in labels:
        table.add_column(column)
    for column in numbers:
        table.add_column(column, justify="right")
    return table


def row_style(task: str) -> str:
    """Bold for the results over all tasks."""
    return "bold" if task == ALL_TASKS else ""
