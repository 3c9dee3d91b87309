"""What became of earlier metrics: verdicts, the file, and the table."""

import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from phi4train.curriculum.regression_report import (
    AncestorChanges,
    MetricChange,
    Regression,
    load_regression,
    regression_parts,
    save_regression,
)

CHANGES = (MetricChange("eval/wer", 0.5, 0.25), MetricChange("eval/perplexity/text", 8.0, 8.5))
LM = AncestorChanges("lm", "lm_eval", CHANGES, ("measured in fp32 then",))
GONE = AncestorChanges("sft", None, (), ("its [artifact] is missing",))
REGRESSION = Regression("vision", "a" * 64, (LM, GONE))


def printed(regression: Regression) -> str:
    console = Console(file=io.StringIO(), record=True, width=200)
    console.print(*regression_parts(regression), sep="\n")
    return console.export_text()


def test_there_and_back_is_no_change() -> None:
    change = MetricChange("eval/wer", 0.5, 0.25)
    back = MetricChange("eval/wer", 0.25, 0.5)
    assert change.change == -back.change == -0.25
    assert (change.verdict, back.verdict) == ("better", "worse")
    assert MetricChange("eval/wer", math.inf, math.inf).change == 0


def test_a_file_reads_back_and_tells_changes_and_verdicts_to_others(tmp_path: Path) -> None:
    path = save_regression(REGRESSION, tmp_path)
    assert load_regression(tmp_path) == REGRESSION
    (lm, gone) = json.loads(path.read_text())["ancestors"]
    assert [(one["change"], one["verdict"]) for one in lm["changes"]] == [(-0.25, "better"), (0.5, "worse")]
    assert (gone["changes"], gone["manifest"]) == ([], None)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("content", [None, '{"format": 0}', "{}"])
def test_no_file_or_one_of_another_version_is_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "regression.json").write_text(content)
    assert load_regression(tmp_path) is None


def test_values_are_shown_in_the_unit_of_their_metric() -> None:
    rows = [line.replace("│", " ").split() for line in printed(REGRESSION).splitlines() if "│" in line]
    assert rows == [
        ["lm", "wer", "50.0", "%", "25.0", "%", "-25.0", "better"],
        ["perplexity/text", "8.000", "8.500", "+0.500", "worse"],
    ]


def test_notes_are_printed_as_they_are_and_a_table_without_rows_is_not() -> None:
    assert "sft: its [artifact] is missing" in printed(REGRESSION)
    alone = printed(Regression("vision", "a", (GONE,)))
    assert alone.strip() == "sft: its [artifact] is missing"
    assert printed(Regression("lm", "a", ())).strip() == (
        "lm starts from no other stage: there is nothing to compare."
    )


@pytest.mark.parametrize(
    ("metric", "before", "after", "change", "verdict"),
    [
        ("eval/bleu/ast/de", 20.0, 21.0, 1.0, "better"),
        ("eval/cer", 0.5, 0.25, -0.25, "better"),
        ("eval/error_rate/asr", 0.25, 0.5, 0.25, "worse"),
        ("eval/perplexity", 2.0, 2.0 + 1e-12, pytest.approx(1e-12, rel=1e-3), "worse"),
        ("eval/perplexity", float("inf"), float("inf"), 0.0, "same"),
        ("eval/perplexity", 2.0, float("inf"), float("inf"), "worse"),
        ("eval/perplexity", 2.0, float("nan"), pytest.approx(float("nan"), nan_ok=True), "worse"),
        ("eval/accuracy", 0.5, float("nan"), pytest.approx(float("nan"), nan_ok=True), "worse"),
    ],
)
def test_better_is_what_the_metric_calls_better(
    metric: str, before: float, after: float, change: float, verdict: str
) -> None:
    moved = MetricChange(metric, before, after)
    assert (moved.change, moved.verdict) == (change, verdict)


def test_a_failed_write_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_regression(Regression("sft", "1", ()), tmp_path)

    def full(self: Path, target: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        save_regression(Regression("sft", "2", ()), tmp_path)
    assert load_regression(tmp_path) == Regression("sft", "1", ())
    assert [path.name for path in tmp_path.iterdir()] == ["regression.json"]
