"""Results by task and language are averaged and shown alike, whatever was measured."""

import io
from dataclasses import dataclass

from rich.console import Console

from phi4train.data.samples.records import Sample
from phi4train.evaluation.metrics.by_language import group_replies, language_table, mean_values
from phi4train.evaluation.metrics.metric import Form, Reply


@dataclass(frozen=True)
class Found:
    task: str
    language: str
    value: float
    num_samples: int = 1000


RESULTS = [Found("a", "de", 1.0), Found("a", "fr", 2.0), Found("b", "de", 6.0)]


def rows_of(results: list[Found]) -> list[list[str]]:
    form = Form(1, 1)
    table = language_table("x", ("x", "y"), results, lambda one: one.value, form, lambda one: ["more"])
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(table)
    lines = console.export_text().splitlines()
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]


def test_replies_are_grouped_in_alphabetical_order_and_keep_their_own() -> None:
    said = [Reply(Sample(str(i), task=task, answers=("x",)), text) for i, (task, text) in enumerate(
        [("b", "1"), ("a", "2"), ("b", "3"), ("a", "0")]
    )]  # fmt: skip
    groups = group_replies(said, lambda reply: "odd" if int(reply.text) % 2 else "even")
    assert list(groups) == [("a", "even"), ("b", "odd")]
    assert groups["b", "odd"] == [said[0], said[2]]


def test_languages_weigh_the_same_in_the_mean_of_a_task_and_over_all() -> None:
    assert mean_values("eval/x", RESULTS, lambda one: one.value, lambda one: f"eval/{one.language}") == {
        **{"eval/x": 3.0, "eval/x/a": 1.5, "eval/x/b": 6.0},
        **{"eval/de/a/de": 1.0, "eval/fr/a/fr": 2.0, "eval/de/b/de": 6.0},
    }


def test_a_task_with_several_languages_has_a_row_of_their_mean() -> None:
    assert rows_of(RESULTS) == [
        ["a", "de", "1.0", "more", "1,000"],
        ["a", "fr", "2.0", "more", "1,000"],
        ["a", "mean of 2 languages", "1.5", "", "2,000"],
        ["b", "de", "6.0", "more", "1,000"],
    ]


def test_rows_over_all_tasks_are_not_averaged() -> None:
    assert len(rows_of([Found("all", "all", 1.0), Found("all", "all", 2.0)])) == 2
