"""A summary has a column for what was measured, in the form of its metric."""

import io
import json
from pathlib import Path

import torch
from rich.console import Console

from phi4train.checkpoint.artifact import save_artifact
from phi4train.curriculum.summary import summary_table
from phi4train.run.run_folder import RunFolder
from phi4train.training.watching.metric_keys import STEP_SECONDS


def trained(root: Path, stage: str, results: dict[str, float]) -> Path:
    """An artifact of two steps of a minute each."""
    run = RunFolder(root / stage)
    artifact = save_artifact(
        run.artifact,
        {stage: {"w": torch.ones(1)}},
        stage=stage,
        parents={},
        recipe={},
        data_fingerprint="d",
        code={},
        results=results,
    )
    run.metrics.write_text(f"{json.dumps({STEP_SECONDS: 60.0})}\n" * 2)
    return artifact.path


def test_what_no_stage_measured_has_no_column_and_what_one_did_not_is_empty(tmp_path: Path) -> None:
    measured = {
        "lm": {"eval/perplexity": 8.125, "eval/perplexity_bigram": 9.0, "eval/perplexity_unigram": 12.0},
        "audio": {"eval/perplexity": 4.0, "eval/wer": 0.125, "eval/wer/asr/de": 0.125, "eval/bleu": 21.25},
    }
    table = summary_table([trained(tmp_path, stage, results) for stage, results in measured.items()])
    assert [column.header for column in table.columns[2:]] == [
        *("steps", "minutes", "perplexity", "bigram's", "word errors", "BLEU")
    ]
    console = Console(record=True, width=150, file=io.StringIO())
    console.print(table)
    lines = [line.strip("│").split("│") for line in console.export_text().splitlines() if line[0] == "│"]
    assert [[cell.strip() for cell in line[2:]] for line in lines] == [
        ["2", "2.0", "8.12", "9.00", "", ""],
        ["2", "2.0", "4.00", "", "12.5 %", "21.2"],
    ]
