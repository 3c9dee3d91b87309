"""Run names of a multirun."""

import pytest

from phi4train.config.load import load_config
from phi4train.config.trials import name_trial, require_distinct_runs
from phi4train.errors import ConfigError


def test_a_trial_is_named_by_its_swept_settings_alone_and_shares_its_parents() -> None:
    overrides = ["stage=lm_sft", "scale=demo", "optimizer.lr=0.001", "seed=2"]
    trial = name_trial(load_config(overrides), overrides, ["optimizer.lr", "stage"])
    assert trial.run.name == "demo-optimizer.lr-0.001"
    assert trial.run.parents == {"lm_pretrain": "runs/lm_pretrain/demo/artifact"}


def test_names_hold_no_character_that_a_path_could_stumble_over() -> None:
    overrides = ["stage=lm_sft", "data.manifest=data_manifests/lm_sft.yaml", "trainable=[language_model]"]
    trial = name_trial(load_config(["stage=lm_sft"]), overrides, ["data.manifest", "trainable"])
    assert trial.run.name == "full-data.manifest-data_manifests-lm_sft.yaml-trainable--language_model-"


def test_a_trials_name_can_be_typed_as_an_override() -> None:
    overrides = ["stage=lm_sft", "optimizer.lr=1e-05", "trainable=[language_model]"]
    trial = name_trial(load_config(overrides), overrides, ["optimizer.lr", "trainable"])
    assert load_config([*overrides, f"run.name={trial.run.name}"]).run.name == trial.run.name


def test_a_swept_run_name_is_taken_as_it_is() -> None:
    overrides = ["stage=lm_sft", "run.name=a"]
    config = load_config(overrides)
    assert name_trial(config, overrides, ["run.name"]) == config


def test_two_trials_in_one_folder_are_refused() -> None:
    config = load_config(["stage=lm_sft"])
    with pytest.raises(ConfigError, match="found twice: lm_sft/full"):
        require_distinct_runs([config, config])
