"""Tables of metrics look alike."""

from phi4train.evaluation.metrics.tables import empty_table, row_style


def test_words_stand_at_the_left_and_numbers_at_the_right() -> None:
    table = empty_table("tone", ["task"], ["tone", "samples"])
    assert str(table.title) == "Held-out tone"
    assert [(column.header, column.justify) for column in table.columns] == [
        *(("task", "left"), ("tone", "right"), ("samples", "right"))
    ]


def test_only_results_over_all_tasks_are_bold() -> None:
    assert (row_style("all"), row_style("asr_de")) == ("bold", "")
