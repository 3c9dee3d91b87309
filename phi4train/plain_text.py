"""Rich's tables and lines of words that come from outside, in which `[red]` and `:smile:` are just words."""

from typing import Any

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from phi4train.visible import visible


class PlainTable(Table):
    """A table whose title, heads and cells are shown as they are; a cell with a style is a Text."""

    def __init__(self, title: str, **options: Any) -> None:
        super().__init__(title=Text(visible(title), style="table.title"), **options)

    def add_column(self, header: RenderableType = "", *more: Any, **options: Any) -> None:
        """Adds a column. See Table."""
        super().add_column(_plain(header), *more, **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Adds a row. See Table."""
        super().add_row(*(_plain(cell) for cell in cells), **options)


def say(console: Console, text: str, style: str | None = None) -> None:
    """Prints a line as it is."""
    console.print(visible(text), markup=False, emoji=False, style=style)


def escaped(text: str) -> str:
    """Text to be put among markup, printed with emoji=False."""
    return escape(visible(text))


def _plain(cell: Any) -> Any:
    """A cell in which nothing is markup or the code of an emoji."""
    if not isinstance(cell, str):
        return cell
    shown = visible(cell)
    return Text(shown) if any(sign in shown for sign in "[:\\") else shown
