"""Words from outside are words, whatever they look like."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from phi4train.evaluation.metrics.exact_match import EXACT_MATCH, Accuracy
from phi4train.evaluation.metrics.perplexity import PERPLEXITY, Perplexity
from phi4train.plain_text import PlainTable, escaped, say

NAMES = ["[/b]", "[red]", "[bold]x[/bold]", ":smile:", "\x1b[31m", "a\\", "[link=http://x]y"]


def printed(*what: object) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    console.print(*what)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_shows_title_heads_and_cells_as_they_are(name: str) -> None:
    table = PlainTable(title=f"t {name}")
    table.add_column(f"h {name}")
    table.add_row(f"c {name}")
    table.add_row(Text("own", style="green"))
    text = printed(table)
    shown = name.replace("\x1b", r"\x1b")
    for line in ("t", "h", "c"):
        assert f"{line} {shown}" in text
    assert "own" in text


@pytest.mark.parametrize("name", NAMES)
def test_a_line_is_printed_as_it_is(name: str) -> None:
    console = Console(file=io.StringIO(), width=120)
    say(console, f"{name} is done", style="yellow")
    console.print(f"[bold]{escaped(name)}[/] is done", emoji=False)
    shown = name.replace("\x1b", r"\x1b")
    assert console.file.getvalue() == f"{shown} is done\n" * 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
def test_a_task_of_any_name_is_in_the_tables_of_metrics(name: str) -> None:
    tables = (
        EXACT_MATCH.table([Accuracy(name, 1, 2)]),
        PERPLEXITY.table([Perplexity(name, 3, {"model": 1.0})]),
    )
    for table in tables:
        assert name.replace("\x1b", r"\x1b") in printed(table)
