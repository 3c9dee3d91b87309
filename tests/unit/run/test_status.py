"""A stage is done, interrupted, stale or damaged, and says why."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.artifact import save_artifact
from phi4train.checkpoint.training_state import CheckpointFolder, TrainingState
from phi4train.config.convert import config_to_dict
from phi4train.config.load import load_config
from phi4train.config.schema import Config
from phi4train.run.run_folder import RunFolder
from phi4train.run.status import StageStatus, fingerprint_differences, stage_status

INPUTS = {"data": "d" * 64}


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(["stage=lm_pretrain", "scale=demo"])


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def finish(folder: RunFolder, config: Config) -> None:
    save_artifact(
        folder.artifact,
        {"language_model": {"w": torch.ones(2)}},
        stage=config.stage,
        parents={},
        recipe=config_to_dict(config),
        data_fingerprint=INPUTS["data"],
        code={},
        results={},
    )


def interrupt(folder: RunFolder, config: Config) -> Path:
    folder.write_config(config_to_dict(config))
    state = TrainingState(3, {}, {}, {}, {"inputs": INPUTS})
    return CheckpointFolder(folder.checkpoints, 1, 0).save(state)


def status_of(config: Config, folder: RunFolder, inputs: Mapping[str, str]) -> StageStatus:
    return stage_status(config, folder, CheckpointFolder(folder.checkpoints, 1, 0), inputs)


@pytest.mark.parametrize("leave", [finish, interrupt])
def test_an_unchanged_run_is_done_or_goes_on(
    leave: Callable[[RunFolder, Config], object], folder: RunFolder, config: Config
) -> None:
    assert status_of(config, folder, INPUTS) == StageStatus(None, ("it has no artifact yet",))
    leave(folder, config)
    status = status_of(config, folder, INPUTS)
    assert (status.is_stale, status.is_damaged) == (False, False)
    if leave is finish:
        assert status.artifact is not None and status.artifact.path == folder.artifact
        assert status.reasons == ()
    else:
        assert status == StageStatus(None, ("it was interrupted",))


@pytest.mark.parametrize("leave", [finish, interrupt])
def test_what_changed_makes_it_stale_and_is_named(
    leave: Callable[[RunFolder, Config], object], folder: RunFolder, config: Config
) -> None:
    leave(folder, config)
    changed = replace(config, seed=7, optimizer=replace(config.optimizer, weight_decay=0.5))
    status = status_of(changed, folder, {"data": "e" * 64, "parent lm": "f" * 64})
    assert status.artifact is None and status.is_stale and not status.is_damaged
    assert "recipe: seed: 0 -> 7" in status.reasons
    assert any(reason.startswith("recipe: optimizer.weight_decay: ") for reason in status.reasons)
    assert status.reasons[-2:] == ("data: dddddddddddd -> eeeeeeeeeeee", "parent lm: none -> ffffffffffff")


def test_settings_of_the_machine_make_nothing_stale(folder: RunFolder, config: Config) -> None:
    finish(folder, config)
    moved = replace(config, hardware=replace(config.hardware, num_threads=3), description="other words")
    assert status_of(moved, folder, INPUTS).artifact is not None


def test_a_damaged_artifact_and_a_missing_config_are_told_apart_from_stale_ones(
    folder: RunFolder, config: Config
) -> None:
    interrupt(folder, config)
    folder.config.unlink()
    missing = status_of(config, folder, INPUTS)
    assert missing.is_damaged and "config.yaml must say what the checkpoints" in missing.reasons[0]
    finish(folder, config)
    (folder.artifact / "language_model.safetensors").unlink()
    damaged = status_of(config, folder, INPUTS)
    assert damaged.artifact is None and damaged.is_damaged and damaged.is_stale
    assert "language_model.safetensors is missing" in damaged.reasons[0]


def test_checkpoints_that_cannot_be_read_leave_the_recipe_to_judge(folder: RunFolder, config: Config) -> None:
    (interrupt(folder, config) / "state.json").write_text("{")
    assert status_of(config, folder, {"data": "x"}).reasons == ("it was interrupted",)
    assert status_of(replace(config, seed=7), folder, INPUTS).is_stale


def test_differences_are_told_for_keys_of_either_side() -> None:
    assert fingerprint_differences({"a": "1", "b": "2"}, {"a": "1", "b": "2"}) == []
    assert fingerprint_differences({"a": "1" * 20, "b": "2"}, {"b": "3", "c": "4"}) == [
        "a: 111111111111 -> none",
        "b: 2 -> 3",
        "c: none -> 4",
    ]
