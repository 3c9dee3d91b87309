"""The summary has a line a stage and a column for each metric that any stage has."""

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from rich.console import Console

from phi4train.checkpoint.artifact import Artifact, save_artifact
from phi4train.curriculum.regression_report import AncestorChanges, MetricChange, Regression, save_regression
from phi4train.curriculum.summary import print_regressions, summary_table

CHANGED = AncestorChanges("lm", "m", (MetricChange("eval/wer", 0.5, 0.25),), ())


def make(
    root: Path, stage: str, results: Mapping[str, float], seconds: list[float], *parents: Artifact
) -> Artifact:
    artifact = save_artifact(
        root / stage / "artifact",
        {stage: {"w": torch.ones(1)}},
        stage=stage,
        parents={parent.lineage.stage: parent for parent in parents},
        recipe={},
        data_fingerprint="d",
        code={},
        results=results,
    )
    lines = [json.dumps({"step": n, "throughput/step_seconds": s}) for n, s in enumerate(seconds)]
    (root / stage / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    return artifact


@pytest.fixture
def artifacts(tmp_path: Path) -> list[Artifact]:
    lm = make(tmp_path, "lm", {"eval/perplexity": 12.345, "eval/loss": 2.5}, [30.0, 60.0, 90.0])
    return [lm, make(tmp_path, "speech", {"eval/perplexity": 9.0, "eval/wer": 0.125}, [6.0], lm)]


def printed(artifacts: list[Artifact], *, regressions: bool = False, width: int = 200) -> str:
    console = Console(file=io.StringIO(), record=True, width=width)
    paths = [artifact.path for artifact in artifacts]
    if regressions:
        print_regressions(paths, console)
    else:
        console.print(summary_table(paths, width))
    return console.export_text()


def test_steps_minutes_and_metrics_of_each_stage_and_a_gap_where_there_is_none(
    artifacts: list[Artifact],
) -> None:
    table = summary_table([artifact.path for artifact in artifacts], 100)
    cells = {str(column.header): list(column.cells) for column in table.columns}
    assert cells == {
        "stage": ["lm", "speech"],
        "artifact": [artifact.lineage.identity[:12] for artifact in artifacts],
        "steps": ["3", "1"],
        "minutes": ["3.0", "0.1"],
        "perplexity": ["12.35", "9.00"],
        "word errors": ["", "12.5 %"],
    }
    assert "BLEU" not in printed(artifacts)


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_has_whole_names_and_every_number(width: int, tmp_path: Path) -> None:
    results = {"eval/perplexity": 9.0, "eval/wer": 0.125, "eval/exact_match": 0.97, "eval/bleu": 41.5}
    stages = ("vision_multiframe", "reasoning_distill", "audio_sft")
    text = printed([make(tmp_path, stage, results, [6.0]) for stage in stages], width=width)
    words = " ".join(text.replace("│", " ").split())
    assert all(f"{stage} 1 steps, 0.1 minutes, " in words for stage in stages[1:])
    for told in ("perplexity 9.00", "word errors 12.5 %", "…"):
        assert words.count(told) == (0 if told == "…" else 3)
    assert max(map(len, text.splitlines())) <= width


def test_a_comparison_is_printed_while_its_artifact_is_the_one_that_was_compared(
    artifacts: list[Artifact],
) -> None:
    _, speech = artifacts
    save_regression(Regression("speech", speech.lineage.identity, (CHANGED,)), speech.path.parent)
    assert "Earlier metrics after speech" in printed(artifacts, regressions=True)
    save_regression(Regression("speech", "another", (CHANGED,)), speech.path.parent)
    told = printed(artifacts, regressions=True)
    assert "Earlier metrics" not in told
    assert "`phi4train evaluate stage=speech ... --regression` tells how far" in told


def test_a_first_stage_alone_has_nothing_to_compare(artifacts: list[Artifact]) -> None:
    assert printed(artifacts[:1], regressions=True) == ""
