"""Several processes: the same run on any number of them ends at the same bits."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from phi4train.checkpoint.artifact import open_artifact
from tests.stage_workspace import Workspace

FOUR = ["hardware.virtual_ranks=4", "budget.global_batch_tokens=1024", "budget.max_steps=4"]


def train(workspace: Workspace, stage: str, *words: str) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "phi4train", f"stage={stage}", *workspace.overrides, *FOUR, *words]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Warning" not in result.stderr, result.stderr


def on_ranks(number: int) -> list[str]:
    return ["strategy=ddp", f"hardware.ranks={number}"] if number > 1 else []


def measured(run: Path) -> tuple[list[dict[str, float]], dict[str, float], str, list[str]]:
    """All that a run leaves but for times: losses and norms of each step, results, identity, answers."""
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    lineage = open_artifact(run / "artifact", needed_by="a test").lineage
    kept = ("train/", "optim/", "data/tokens", "data/samples", "step")
    answers = (run / "answers.jsonl").read_text().splitlines() if (run / "answers.jsonl").exists() else []
    return (
        [{key: value for key, value in step.items() if key.startswith(kept)} for step in steps],
        dict(lineage.results),
        lineage.identity,
        answers,
    )


def trained_on(workspace: Workspace, stage: str, name: str, numbers: Sequence[int], *words: str) -> Path:
    """The run of a stage on each number of processes in turn, the last one to its end."""
    run = [
        f"run.name={name}",
        *(f"run.parents.{p}={workspace.runs}/{p}/demo/artifact" for p in PARENTS[stage]),
    ]
    for number in numbers:
        train(workspace, stage, *run, *on_ranks(number), *words)
    return workspace.runs / stage / name


PARENTS = {
    "vision_speech": ("vision_multiframe", "audio_sft"),
    "audio_pretrain": ("lm_sft",),
    "lm_pretrain": (),
}


@pytest.mark.parametrize("stage", ["vision_speech", "audio_pretrain"])
def test_one_two_and_four_processes_end_at_the_same_bits(workspace: Workspace, stage: str) -> None:
    one = measured(trained_on(workspace, stage, "one", [1]))
    assert len(one[0]) == 4 and one[0][0]["train/loss"] > 0
    for number in (2, 4):
        assert measured(trained_on(workspace, stage, f"on{number}", [number])) == one
