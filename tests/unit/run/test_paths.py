"""Commands that messages about a missing parent name can be pasted as they are."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from phi4train.config.load import load_config
from phi4train.config.schema import Config
from phi4train.config.trials import name_trial
from phi4train.run.paths import artifact_path, evaluate_command, run_path, train_command


def made_by(command: str) -> Path:
    """The artifact that a training command makes."""
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "phi4train"]
    config_dir = Path(words.pop(words.index("--config-dir") + 1)) if "--config-dir" in words else None
    config = load_config([word for word in words[3:] if word != "--config-dir"], config_dir)
    return artifact_path(config, config.stage)


def a_run(*overrides: str) -> Config:
    return load_config(["stage=lm_sft", "scale=demo", *overrides])


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["run.root=/a b/runs", "run.name=mine", "run.data_root=/d"],
        ["run.parents.lm_pretrain=/elsewhere/lm_pretrain/other/artifact"],
        ["run.name=mine", "run.parents.lm_pretrain=runs/lm_pretrain/other/artifact"],
    ],
)
def test_the_named_command_makes_the_artifact_that_is_missing(overrides: list[str]) -> None:
    config = a_run(*overrides)
    command = train_command(config, "lm_pretrain")
    assert made_by(command) == artifact_path(config, "lm_pretrain")
    assert ("run.data_root=/d" in command) == ("run.data_root=/d" in overrides)


def test_a_trials_parent_is_the_run_that_all_trials_share() -> None:
    trial = name_trial(a_run("run.name=sweep"), ["optimizer.lr=1e-3"], ["optimizer.lr"])
    command = train_command(trial, "lm_pretrain")
    assert command == "python -m phi4train stage=lm_pretrain scale=demo run.name=sweep"


def test_a_users_own_folder_is_carried() -> None:
    config = a_run()
    config = replace(config, run=replace(config.run, config_dir="my own"))
    assert train_command(config, "lm_pretrain").endswith(" --config-dir 'my own'")


def test_a_stage_is_never_its_own_parent() -> None:
    config = a_run("run.parents.lm_pretrain=/elsewhere")
    assert artifact_path(config, "lm_pretrain") == Path("/elsewhere")
    assert artifact_path(config, "lm_sft") == run_path(config, "lm_sft") / "artifact"


def test_evaluating_is_training_with_one_word_more() -> None:
    config = a_run("run.name=mine")
    words = shlex.split(evaluate_command(config, "lm_sft"))
    assert words[:4] == ["python", "-m", "phi4train", "evaluate"]
    assert [word for word in words if word != "evaluate"] == shlex.split(train_command(config, "lm_sft"))
