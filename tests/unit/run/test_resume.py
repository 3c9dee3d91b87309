"""Where a run starts from follows from `resume` and from what its folder holds."""

import io
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from rich.console import Console

from phi4train.checkpoint.training_state import CheckpointFolder, TrainingState
from phi4train.config.load import load_config
from phi4train.config.schema import Config, Resume
from phi4train.errors import CheckpointError, ResumeError
from phi4train.run.opened import OpenedStage
from phi4train.run.resume import check_fingerprints, find_start
from phi4train.run.run_folder import RunFolder
from phi4train.run.status import StageStatus

INTERRUPTED = StageStatus(None, ("it was interrupted",))
STALE = StageStatus(None, ("recipe: seed: 0 -> 7", "data: a -> b"), is_stale=True)
NO_INPUTS: Any = SimpleNamespace(fingerprints=dict)
DAMAGED = StageStatus(None, ("the artifact must be complete.",), is_stale=True, is_damaged=True)


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(["stage=lm_pretrain", "scale=demo"])


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def save(folder: RunFolder, step: int) -> Path:
    state = TrainingState(step, {"x/w": torch.ones(2)}, {}, {}, {"inputs": {}})
    return CheckpointFolder(folder.checkpoints, 9, 0).save(state)


def decide(
    config: Config, folder: RunFolder, how: Resume, status: StageStatus = INTERRUPTED
) -> tuple[int | None, str]:
    """The step to go on from, and what was printed."""
    out = io.StringIO()
    stage = OpenedStage(replace(config, resume=how), folder, NO_INPUTS)
    start = find_start(stage, how, status, Console(file=out, width=300))
    assert start.is_new == (start.state is None)
    return (None if start.state is None else start.step), out.getvalue()


@pytest.mark.parametrize("how", list(Resume))
def test_an_unused_folder_starts_anew_whatever_is_asked(
    how: Resume, config: Config, folder: RunFolder
) -> None:
    assert decide(config, folder, how) == (None, "")


def test_auto_goes_on_from_the_newest_complete_checkpoint_and_names_damaged_ones(
    config: Config, folder: RunFolder
) -> None:
    save(folder, 2)
    save(folder, 4)
    assert decide(config, folder, Resume.auto)[0] == 4
    (folder.checkpoints / "step=00000004" / "model.safetensors").write_bytes(b"cut")
    step, printed = decide(config, folder, Resume.auto)
    assert step == 2
    assert "step=00000004 is damaged (model.safetensors has 3 bytes" in printed
    assert "set aside as damaged-step=00000004" in printed and "resuming from" in printed
    step, printed = decide(config, folder, Resume.auto)
    assert step == 2 and "damaged" not in printed, "told once"
    assert (folder.checkpoints / "damaged-step=00000004" / "model.safetensors").is_file()


def test_with_no_checkpoint_left_whole_it_refuses_and_touches_nothing(
    config: Config, folder: RunFolder
) -> None:
    (save(folder, 2) / "files.json").unlink()
    (folder.checkpoints / "step=00000039").mkdir()
    before = sorted(folder.checkpoints.iterdir())
    with pytest.raises(
        CheckpointError,
        match=r"must hold a complete checkpoint to go on from · found damaged ones only:\n"
        r"  step=00000039: files.json is missing.*\n  step=00000002: files.json is missing.*\n"
        r" · restore one from a copy, or start anew with resume=overwrite \(the old run is set aside",
    ):
        decide(config, folder, Resume.auto)
    assert sorted(folder.checkpoints.iterdir()) == before
    assert decide(config, folder, Resume.overwrite) == (None, "")


def test_what_was_set_aside_as_damaged_is_still_a_run(config: Config, folder: RunFolder) -> None:
    save(folder, 2).rename(folder.checkpoints / "damaged-step=00000002")
    with pytest.raises(CheckpointError, match="damaged-step=00000002: set aside earlier"):
        decide(config, folder, Resume.auto)


def test_never_refuses_a_used_folder_and_overwrite_takes_it(config: Config, folder: RunFolder) -> None:
    save(folder, 2)
    with pytest.raises(ResumeError, match=r"resume=never.*must be unused.*or resume=overwrite"):
        decide(config, folder, Resume.never)
    for status in (INTERRUPTED, STALE, DAMAGED):
        assert decide(config, folder, Resume.overwrite, status) == (None, "")
    assert folder.is_used(), "setting aside is left to who starts"


def test_a_stale_folder_is_refused_with_all_reasons_and_a_damaged_one_with_its_own(
    config: Config, folder: RunFolder
) -> None:
    save(folder, 2)
    with pytest.raises(ResumeError, match=r"found others in .*:\n  recipe: seed: 0 -> 7\n  data: a -> b\n"):
        decide(config, folder, Resume.auto, STALE)
    with pytest.raises(CheckpointError, match=r"must be complete\., or start anew with resume=overwrite"):
        decide(config, folder, Resume.auto, DAMAGED)


def test_what_is_gone_on_from_belongs_to_the_data_and_parents_of_today(
    config: Config, folder: RunFolder
) -> None:
    save(folder, 2)
    inputs: Any = SimpleNamespace(fingerprints=lambda: {"data": "d"})
    stage = OpenedStage(replace(config, resume=Resume.auto), folder, inputs)
    with pytest.raises(ResumeError, match="started from · found changed: data · put them back"):
        find_start(stage, Resume.auto, INTERRUPTED, Console(quiet=True))


def test_a_state_belongs_to_its_inputs() -> None:
    state = TrainingState(1, {}, {}, {}, {"inputs": {"data": "a", "parent lm": "b"}})
    check_fingerprints(state, {"parent lm": "b", "data": "a"})
    with pytest.raises(ResumeError, match=r"found changed: data, init.x, parent lm · put them back"):
        check_fingerprints(state, {"data": "z", "init.x": "c"})
