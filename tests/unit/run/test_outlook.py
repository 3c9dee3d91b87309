"""What a stage would do follows from its folder and its settings, as it does when it trains."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from phi4train.checkpoint.training_state import CheckpointFolder, TrainingState
from phi4train.config.load import load_config
from phi4train.config.schema import Resume
from phi4train.run.opened import OpenedStage
from phi4train.run.outlook import Action, foresee, heading_lines, outlook_lines
from phi4train.run.requeue import Attempt, note_beginning
from phi4train.run.run_folder import RunFolder
from phi4train.run.status import StageStatus

INTERRUPTED = StageStatus(None, ("it was interrupted",))
STALE = StageStatus(None, ("recipe: seed: 0 -> 7",), is_stale=True)
EXTENDED = StageStatus(None, ("it goes on to another number of steps",), is_extended=True)
DONE = StageStatus(SimpleNamespace(lineage=SimpleNamespace(identity="0" * 64)), ())  # type: ignore[arg-type]
INPUTS: Any = SimpleNamespace(
    parents={"lm_pretrain": SimpleNamespace(path=Path("p"), lineage=SimpleNamespace(identity="ab" * 32))},
    initial={},
    data=SimpleNamespace(
        mixture=SimpleNamespace(
            manifest=SimpleNamespace(name="m"), sources=[SimpleNamespace(tables=[1, 2, 3])] * 2
        )
    ),
)


def a_stage(root: Path, mode: Resume, steps: tuple[int, ...] = ()) -> OpenedStage:
    config = replace(load_config(["stage=lm_sft", "scale=demo", f"run.root={root}"]), resume=mode)
    stage = OpenedStage(config, RunFolder(root / "lm_sft" / "demo"), INPUTS)
    for step in steps:
        state = TrainingState(step, {"model/x/w@0": torch.ones(2)}, {"inputs": {}})
        CheckpointFolder(stage.folder.checkpoints, 9, 0).save(state)
    return stage


@pytest.mark.parametrize("mode", list(Resume))
def test_an_empty_folder_starts_in_every_mode(mode: Resume, tmp_path: Path) -> None:
    stage = a_stage(tmp_path, mode)
    assert foresee(stage, StageStatus(None, ("it has no artifact yet",))).action is Action.start
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "status", "action"),
    [
        (Resume.auto, INTERRUPTED, Action.resume),
        (Resume.auto, EXTENDED, Action.extend),
        (Resume.auto, STALE, Action.refuse),
        (Resume.auto, DONE, Action.nothing),
        (Resume.never, INTERRUPTED, Action.refuse),
        (Resume.never, DONE, Action.refuse),
        (Resume.overwrite, INTERRUPTED, Action.replace),
        (Resume.overwrite, STALE, Action.replace),
        (Resume.overwrite, DONE, Action.replace),
    ],
)
def test_a_used_folder_is_treated_as_training_would(
    mode: Resume, status: StageStatus, action: Action, tmp_path: Path
) -> None:
    outlook = foresee(a_stage(tmp_path, mode, (3, 7)), status)
    assert outlook.action is action
    assert set(status.reasons) <= set(outlook.reasons)
    if action is Action.resume:
        assert outlook.reasons[-1].endswith("step=00000007")


def test_a_job_that_is_requeued_goes_on_with_what_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = a_stage(tmp_path, Resume.overwrite, (3,))
    note_beginning(stage.folder, Attempt("7", 0))
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    for restarts, action in (("0", Action.replace), ("1", Action.resume)):
        monkeypatch.setenv("SLURM_RESTART_COUNT", restarts)
        assert foresee(stage, INTERRUPTED).action is action


def test_a_run_whose_checkpoints_are_all_damaged_is_refused_and_nothing_is_moved(tmp_path: Path) -> None:
    stage = a_stage(tmp_path, Resume.auto, (3,))
    (file,) = stage.folder.checkpoints.rglob("rank00000.safetensors")
    file.write_bytes(b"damaged")
    before = sorted(tmp_path.rglob("*"))
    outlook = foresee(stage, INTERRUPTED)
    assert outlook.action is Action.refuse and outlook.reasons[0].startswith("step=00000003: ")
    assert sorted(tmp_path.rglob("*")) == before


def test_what_is_loaded_and_trained_stands_below_what_is_done(tmp_path: Path) -> None:
    stage = a_stage(tmp_path, Resume.auto)
    outlook = foresee(stage, StageStatus(None, ("it has no artifact yet",)))
    assert heading_lines(stage.config, outlook) == [
        f"lm_sft starts: {tmp_path}/lm_sft/demo",
        "  because  it has no artifact yet",
    ]
    assert outlook_lines(stage, outlook)[2:] == [
        "  parent   lm_pretrain abababababab, p",
        "  data     m: 2 sources, 6 shards",
        "  trains   language_model for 3,000 steps",
    ]
