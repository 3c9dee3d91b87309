"""What is asked beforehand is told and nothing is done; what a sweep cannot train is named at its end."""

import hashlib
from pathlib import Path

import pytest
import yaml

from phi4train.cli.main import main
from tests.stage_workspace import Workspace


def state_of(folder: Path) -> dict[str, str]:
    """Every file below a folder with its content, and every folder."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


def arguments(trained: Workspace, root: Path) -> list[str]:
    """A stage on the data of the tests, with runs in a folder of its own and a parent that is trained."""
    parent = f"run.parents.lm_pretrain={trained.runs}/lm_pretrain/demo"
    return ["stage=lm_sft", *trained.overrides, f"run.root={root}", parent]


def test_a_dry_run_of_a_stage_leaves_no_trace(
    trained: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = state_of(trained.data_root)
    for more in (["--dry-run"], ["--dry-run", "-m", "seed=1,2"]):
        assert main([*arguments(trained, tmp_path / "runs"), *more]) == 0
        printed = capsys.readouterr().out
        assert "starts: " in printed and "parent   lm_pretrain " in printed and "for 2 steps" in printed
    assert list(tmp_path.iterdir()) == [] and state_of(trained.data_root) == data


def test_a_dry_run_of_a_curriculum_tells_what_would_be_replaced_and_touches_nothing(
    trained: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state_of(trained.runs)
    words = ["curriculum", *trained.overrides]
    assert main([*words, "--dry-run"]) == 0
    assert capsys.readouterr().out.count(" is done: ") == 9
    changed = [*words, "optimizer.weight_decay=0.37"]
    assert main([*changed, "--dry-run"]) == 0
    assert capsys.readouterr().out.count("starts anew, and sets aside what is there: ") == 9
    assert main(changed) == 2
    told = capsys.readouterr().err
    assert "found 9 to be replaced" in told and "add --yes (the old runs are set aside, not deleted)" in told
    assert state_of(trained.runs) == before


def test_a_sweep_trains_what_it_can_and_names_the_rest(
    trained: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = arguments(trained, tmp_path)
    sweep = ["data.manifest=demo_lm_sft,gone.yaml,demo_lm_pretrain", "evaluation.manifest=null", "-m"]
    assert main([*words, *sweep]) == 2
    told = capsys.readouterr().err
    assert "found 1 of 3 that were not:\n  data.manifest=gone.yaml: " in told and "Traceback" not in told
    trials = yaml.safe_load((tmp_path / "multirun.yaml").read_text())["trials"]
    assert [trial["state"] for trial in trials] == ["done", "failed", "done"]
    assert len(list(tmp_path.glob("lm_sft/*/artifact/lineage.json"))) == 2
