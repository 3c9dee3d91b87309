"""Prints some of a model's answers for people to look at."""

from collections.abc import Iterable

from rich.columns import Columns
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from phi4train.evaluation.answers import Answer
from phi4train.evaluation.thumbnail import thumbnail
from phi4train.visible import visible


def show_answers(answers: Iterable[Answer], console: Console) -> None:
    """Prints each answer in a box: picture, question, answer, and the accepted answer where it differs."""
    in_colour = console.color_system is not None
    console.print(Columns([_box(answer, in_colour) for answer in answers], padding=(0, 1)))


def _box(answer: Answer, in_colour: bool) -> Panel:
    text = Text()
    if answer.view is not None:
        text.append_text(thumbnail(answer.view, in_colour)).append("\n")
    text.append(f"{visible(answer.question)}\n", style="dim")
    text.append(visible(answer.text), style="bold green" if answer.is_correct else "bold red")
    if not answer.is_correct:
        text.append(f"\nexpected: {visible(answer.sample.answers[0])}", style="dim")
    return Panel(text, title=Text(visible(answer.sample.task)), width=44)
