"""A stage is opened once: folder, checkpoints and inputs belong to its configuration."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.training_state import TrainingState
from phi4train.config.convert import config_to_dict
from phi4train.config.schema import Config
from phi4train.run.opened import open_stage
from phi4train.run.paths import run_path

LoadOwn = Callable[..., Config]


def test_opening_finds_the_stages_own_folder_and_leaves_it_unused(own: LoadOwn) -> None:
    config = own()
    stage = open_stage(config)
    assert stage.config is config and stage.folder.path == run_path(config, "lm_pretrain")
    assert list(stage.folder.path.iterdir()) == [] and not stage.folder.is_used()
    assert stage.status().reasons == ("it has no artifact yet",)
    assert stage.inputs.fingerprints() == open_stage(config).inputs.fingerprints() != {}


def test_a_folder_that_cannot_be_made_is_told_before_data_are_looked_for(
    own: LoadOwn, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        open_stage(own(f"run.root={tmp_path}/file/x", stage="lm_sft"))


def test_its_checkpoints_are_those_of_the_folder_kept_as_the_recipe_says(own: LoadOwn) -> None:
    stage = open_stage(own("checkpoint.keep_last_n=2", "checkpoint.keep_every_n=3"))
    for step in range(1, 7):
        stage.checkpoints.save(TrainingState(step, {"model/x/w@0": torch.ones(1)}, {"inputs": {}}))
    assert sorted(stage.checkpoints.steps()) == [3, 5, 6]
    assert all(stage.folder.path in path.parents for path in stage.folder.checkpoints.iterdir())


def test_its_status_follows_what_lies_in_the_folder_and_the_data_of_today(own: LoadOwn) -> None:
    config = own()
    stage = open_stage(config)
    stage.folder.write_config(config_to_dict(config))
    inputs = stage.inputs.fingerprints()
    stage.checkpoints.save(TrainingState(1, {}, {"inputs": inputs}))
    assert stage.status().reasons == ("it was interrupted",)
    other = open_stage(own(sources=("text",)))
    assert other.status().is_stale and any(reason.startswith("data: ") for reason in other.status().reasons)
