"""The trials of a multirun: their values, names and problems."""

from pathlib import Path

import pytest

from phi4train.config import trials
from phi4train.config.load import load_config
from phi4train.config.trials import Trial, compose_trials, name_trial
from phi4train.errors import ConfigError

BASE = ["stage=lm_sft", "scale=demo"]


def names(*overrides: str) -> list[str]:
    return [trial.name for trial in compose_trials([*BASE, *overrides])]


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


@pytest.mark.parametrize("letter", ["x", "ü"])
def test_a_name_that_is_too_long_for_a_folder_ends_with_a_hash(letter: str) -> None:
    found = names(f"description='{letter * 250}a','{letter * 250}b'", "seed=1,2")
    runs = [name.partition("/")[2] for name in found]
    assert len(set(runs)) == 4 and all(200 < len(run.encode()) <= 255 for run in runs)
    assert all(run.startswith(f"demo-description--{letter * 20}") for run in runs)


def test_each_value_of_each_swept_key_is_a_trial_in_the_order_typed() -> None:
    assert names("optimizer.lr=1e-3,2e-3", "seed=range(0,2)") == [
        "lm_sft/demo-optimizer.lr-0.001-seed-0",
        "lm_sft/demo-optimizer.lr-0.001-seed-1",
        "lm_sft/demo-optimizer.lr-0.002-seed-0",
        "lm_sft/demo-optimizer.lr-0.002-seed-1",
    ]


def test_options_and_digits_of_text_are_swept_as_typed() -> None:
    stages = [trial.name for trial in compose_trials(["stage=glob(lm_*)", "scale=demo"])]
    assert stages == ["lm_pretrain/demo", "lm_sft/demo"]
    assert names("run.name=1.10,2026_01") == ["lm_sft/1.10", "lm_sft/2026_01"]
    assert names("seed=3") == ["lm_sft/demo"]


@pytest.mark.parametrize(
    ("sweep", "problem"),
    [
        (f"seed=1,{2**64}", "seed must be at least 0 and below"),
        ("seed=1,x", "seed must be a whole number · found 'x'"),
        ("data.manifest=demo_lm_sft,nowhere", "data.manifest: "),
        ("scale=demo,huge", "scale must be an option of its group · found 'huge'"),
        ("run.name=a,..", "run.name must be one part of a path"),
        ("description=a,${oc.env:HOME}", "no secrets"),
        ("optimizer.lr=1e-3,${optimizer.nothing}", "a run must compose"),
    ],
)
def test_a_bad_trial_is_found_with_all_its_problems_and_spoils_no_other(sweep: str, problem: str) -> None:
    good, bad = compose_trials(["stage=lm_sft", *([] if "scale" in sweep else ["scale=demo"]), sweep])
    assert good.config is not None and good.problems == ()
    assert bad.config is None and problem in bad.problems[0] and bad.name == bad.settings[0]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["lrr=1,2"], "lrr must be a key"),
        (["seed=interval(0,1)"], "seed must be swept over single values"),
        (["seed=glob(*)"], "glob is for stage, scale"),
        (["seed=range(0,1000000000000)"], "at most 1000 trials · found 1,001 or more"),
        (["seed=range(0,100)", "data.max_crops=range(1,100)"], "at most 1000 trials · found 9,900"),
        (["data.manifest=a/b.yaml,a-b.yaml"], "found twice: "),
    ],
)
def test_words_that_hold_for_no_trial_are_refused_at_once(
    words: list[str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "load_config", lambda overrides, _: load_config(BASE))
    with pytest.raises(ConfigError) as caught:
        compose_trials([*BASE, *words])
    assert problem in str(caught.value)


def test_a_trial_that_cannot_be_composed_is_called_by_its_settings() -> None:
    assert Trial(("a=1", "b=2"), None, ("x",)).name == "a=1 b=2"


def test_trials_of_a_run_of_another_name_find_the_parents_of_the_scale(tmp_path: Path) -> None:
    parent = tmp_path / "lm_pretrain" / "demo" / "artifact"
    parent.mkdir(parents=True)
    (trial, _) = compose_trials([*BASE, f"run.root={tmp_path}", "run.name=mine", "seed=1,2"])
    assert trial.config is not None
    assert trial.config.run.parents == {"lm_pretrain": str(parent)}
