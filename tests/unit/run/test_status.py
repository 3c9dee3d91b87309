"""A stage is done, interrupted, stale or damaged, and says why."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.artifact import save_artifact
from phi4train.checkpoint.training_state import CheckpointFolder, TrainingState
from phi4train.config.convert import config_to_dict
from phi4train.config.load import load_config
from phi4train.config.schema import Config, ScheduleKind
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
    state = TrainingState(3, {}, {"inputs": INPUTS})
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
    shutil.rmtree(folder.checkpoints)
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


@pytest.mark.parametrize("name", ["language_model.safetensors", "lineage.json", "files.json"])
@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_one_flipped_bit_of_an_artifact_is_told_and_it_is_made_again_where_a_checkpoint_is_left(
    folder: RunFolder, config: Config, name: str, has_checkpoint: bool
) -> None:
    finish(folder, config)
    if has_checkpoint:
        interrupt(folder, config)
    content = bytearray((folder.artifact / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder.artifact / name).write_bytes(content)
    status = status_of(config, folder, INPUTS)
    assert status.artifact is None and status.is_damaged != has_checkpoint
    found = "its artifact is damaged (" if has_checkpoint else "must be whole, or a checkpoint beside it"
    assert found in status.reasons[0]


def steps(config: Config, max_steps: int, kind: ScheduleKind = ScheduleKind.constant) -> Config:
    schedule = replace(config.schedule, kind=kind, warmup_steps=1, warmup_fraction=0.0)
    optimizer = replace(config.optimizer, lr=1e-3, lr_law=None)
    budget = replace(config.budget, max_steps=max_steps, tokens=None)
    return replace(config, budget=budget, schedule=schedule, optimizer=optimizer)


@pytest.mark.parametrize("is_finished", [True, False])
def test_more_steps_are_no_other_run_where_the_steps_that_are_done_stay_what_they_were(
    folder: RunFolder, config: Config, is_finished: bool
) -> None:
    if is_finished:
        finish(folder, steps(config, 3))
    interrupt(folder, steps(config, 3))
    longer = status_of(steps(config, 9), folder, INPUTS)
    told = "it goes on to another number of steps (budget.max_steps: 3 -> 9)"
    assert longer == StageStatus(None, (told,), is_extended=is_finished)
    shorter = status_of(steps(config, 2), folder, INPUTS)
    assert shorter.is_stale and "budget.max_steps: 3 -> 2, but 3 steps are done" in shorter.reasons[0]


def test_more_steps_are_another_run_where_its_learning_rates_would_have_been_others(
    folder: RunFolder, config: Config
) -> None:
    interrupt(folder, steps(config, 4, ScheduleKind.cosine))
    status = status_of(steps(config, 9, ScheduleKind.cosine), folder, INPUTS)
    (reason,) = status.reasons
    assert status.is_stale
    assert reason.startswith(
        "recipe: budget.max_steps: 4 -> 9, but step 2 had the learning rate 0.000755 and"
    )


def test_more_steps_do_not_hide_what_else_differs(folder: RunFolder, config: Config) -> None:
    interrupt(folder, steps(config, 4))
    other = status_of(replace(steps(config, 9), seed=7), folder, INPUTS)
    assert other.is_stale and {reason.split(":")[1] for reason in other.reasons} == {
        " budget.max_steps",
        " seed",
    }
    data = status_of(steps(config, 9), folder, {"data": "e" * 64})
    assert data.is_stale and any(reason.startswith("data: ") for reason in data.reasons)


def test_more_steps_need_a_checkpoint_to_go_on_from(folder: RunFolder, config: Config) -> None:
    finish(folder, steps(config, 3))
    status = status_of(steps(config, 9), folder, INPUTS)
    assert status.is_stale and "but no whole checkpoint is left to go on from" in status.reasons[0]


def test_another_branch_is_another_run(folder: RunFolder, config: Config) -> None:
    interrupt(folder, config)
    asked = replace(config, run=replace(config.run, branch_from="runs/x@2"))
    status = status_of(asked, folder, INPUTS)
    assert status.reasons == ("run.branch_from: none -> runs/x@2",)
