"""examples/label_smoothing: a loss from outside of the package, through the command line."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stage_workspace import QUICK, ROOT, Workspace

EXAMPLE = ROOT / "examples" / "label_smoothing"
Command = Callable[..., subprocess.CompletedProcess[str]]


def smoothed(trained: Workspace, command: Command, tmp_path: Path, *more: str) -> list[dict[str, float]]:
    """The steps of the example's stage."""
    result = command(
        *("stage=smoothed_sft", "--config-dir", str(EXAMPLE), *QUICK, f"run.root={tmp_path}/runs"),
        *(
            f"run.data_root={trained.data_root}",
            f"run.parents.lm_pretrain={trained.runs}/lm_pretrain/demo/artifact",
        ),
        *more,
    )
    assert result.returncode == 0, result.stderr
    return steps_of(tmp_path / "runs" / "smoothed_sft" / "demo")


def steps_of(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_it_trains_and_reports_what_it_measures(trained: Workspace, command: Command, tmp_path: Path) -> None:
    plain = steps_of(trained.runs / "lm_sft" / "demo")
    found = smoothed(trained, command, tmp_path)
    assert [step["step"] for step in found] == [0, 1]
    assert found[0]["train/loss"] != pytest.approx(plain[0]["train/loss"], rel=1e-3)
    assert all(0 < step["train/prediction_entropy"] < 7 for step in found)
    assert [step["data/targets"] for step in found] == [step["data/targets"] for step in plain]


def test_without_smoothing_it_is_the_next_token_loss(
    trained: Workspace, command: Command, tmp_path: Path
) -> None:
    plain = steps_of(trained.runs / "lm_sft" / "demo")
    found = smoothed(trained, command, tmp_path, "objective_settings.smoothing=0")
    for key in ("train/loss", "optim/grad_norm"):
        assert [s[key] for s in found] == pytest.approx([s[key] for s in plain], rel=1e-4)


def test_a_wrong_name_is_told_with_the_nearest_one(command: Command) -> None:
    own = ("stage=smoothed_sft", "scale=demo", "--config-dir", str(EXAMPLE))
    result = command(*own, "objective=smothed_next_token")
    assert result.returncode == 2 and "did you mean 'smoothed_next_token'?" in result.stderr
    result = command(*own, "objective_settings.smooth=1")
    assert result.returncode == 2 and "did you mean 'smoothing'?" in result.stderr
