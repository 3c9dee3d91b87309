"""Exact match overlooks form, and nothing else."""

import pytest

from phi4train.evaluation.metrics.exact_match import Accuracy, accuracies, is_match


@pytest.mark.parametrize(
    "answer", ["row 2, column 1", " Row 2,  Column 1. ", "ROW 2, COLUMN 1", "row 2,\ncolumn 1."]
)
def test_case_white_space_and_a_final_period_are_overlooked(answer: str) -> None:
    assert is_match(answer, ["row 2, column 1"])


@pytest.mark.parametrize(
    "answer", ["row 2, column 2", "row 2 column 1", "", "the row 2, column 1", "row 2, column 11"]
)
def test_any_other_difference_counts(answer: str) -> None:
    assert not is_match(answer, ["row 2, column 1"])


def test_any_accepted_answer_will_do_and_none_accepts_nothing() -> None:
    assert is_match("7", ["seven", "7"])
    assert not is_match("7", [])


def test_accuracies_are_by_task_and_over_all_samples() -> None:
    outcomes = [("b", True), ("a", False), ("b", False), ("b", True)]
    assert accuracies(outcomes) == [Accuracy("a", 0, 1), Accuracy("b", 2, 3), Accuracy("all", 2, 4)]
    assert accuracies([]) == []


@pytest.mark.parametrize(
    ("correct", "samples", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_wilsons_interval_has_its_published_values(
    correct: int, samples: int, low: float, high: float
) -> None:
    assert Accuracy("t", correct, samples).interval == pytest.approx((low, high), abs=1e-4)


def test_more_samples_make_the_interval_narrower() -> None:
    widths = [high - low for low, high in (Accuracy("t", n // 2, n).interval for n in (10, 100, 1000))]
    assert widths == sorted(widths, reverse=True)
