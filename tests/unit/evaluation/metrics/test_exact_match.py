"""Exact match overlooks form, and nothing else."""

import pytest

from phi4train.data.samples.records import Sample
from phi4train.evaluation.metrics.exact_match import EXACT_MATCH, Accuracy, accuracies, is_match
from phi4train.evaluation.metrics.metric import Reply


def answered(text: str, *accepted: str, task: str = "t") -> Reply:
    return Reply(Sample("key", task=task, answers=accepted), text)


@pytest.mark.parametrize(
    "answer", ["row 2, column 1", " Row 2,  Column 1. ", "ROW 2, COLUMN 1", "row 2,\ncolumn 1."]
)
def test_case_white_space_and_a_final_period_are_overlooked(answer: str) -> None:
    assert is_match(answered(answer, "row 2, column 1"))


@pytest.mark.parametrize(
    "answer", ["row 2, column 2", "row 2 column 1", "", "the row 2, column 1", "row 2, column 11"]
)
def test_any_other_difference_counts(answer: str) -> None:
    assert not is_match(answered(answer, "row 2, column 1"))


def test_any_accepted_answer_will_do_and_none_accepts_nothing() -> None:
    assert is_match(answered("7", "seven", "7"))
    assert not is_match(answered("7"))


def test_accuracies_are_by_task_and_over_all_samples() -> None:
    said = [("b", "Yes"), ("a", "no"), ("b", "no"), ("b", "yes.")]
    replies = [answered(text, "yes", task=task) for task, text in said]
    results = accuracies(replies)
    assert results == [Accuracy("a", 0, 1), Accuracy("b", 2, 3), Accuracy("all", 2, 4)]
    assert EXACT_MATCH.values(results) == {
        **{"eval/accuracy": 2 / 4, "eval/accuracy/a": 0, "eval/accuracy/b": 2 / 3}
    }


def test_a_saved_result_has_wilsons_interval() -> None:
    assert EXACT_MATCH.row(Accuracy("t", 8, 10))["interval_95"] == pytest.approx([0.4902, 0.9433], abs=1e-4)
