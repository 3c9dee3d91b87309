"""Which settings decide what is learned."""

from dataclasses import replace

import pytest

from phi4train.config.convert import config_to_dict
from phi4train.config.fingerprint import science_differences, science_fingerprint
from phi4train.config.load import load_config
from phi4train.config.schema import Config


def load(*overrides: str) -> Config:
    return load_config(["stage=lm_sft", "scale=demo", *overrides])


@pytest.mark.parametrize(
    "override",
    ["hardware.num_workers=3", "run.root=elsewhere", "logger=wandb", "resume=never", "checkpoint.keep_last_n=5",
     "evaluation.max_samples=3", "description=other"],
)  # fmt: skip
def test_machine_settings_do_not_change_the_fingerprint(override: str) -> None:
    assert science_fingerprint(load(override)) == science_fingerprint(load())


@pytest.mark.parametrize(
    "override",
    ["optimizer.lr=0.5", "seed=1", "data.max_crops=2", "model.language_model.num_layers=2",
     "budget.max_steps=9", "optimizer.lr_multipliers.language_model=0.5"],
)  # fmt: skip
def test_science_settings_change_the_fingerprint_and_are_named(override: str) -> None:
    other = load(override)
    assert science_fingerprint(other) != science_fingerprint(load())
    (difference,) = science_differences(config_to_dict(load()), config_to_dict(other))
    assert difference.startswith(f"{override.split('=')[0]}: ")


def test_differences_show_old_and_new() -> None:
    old, new = load("optimizer.lr=1e-4"), load("optimizer.lr=2e-4")
    assert science_differences(config_to_dict(old), config_to_dict(new)) == ["optimizer.lr: 0.0001 -> 0.0002"]


def test_a_key_of_one_side_only_is_a_difference() -> None:
    old, new = config_to_dict(load()), config_to_dict(load())
    del old["seed"]
    assert science_differences(old, new) == ["seed: (absent) -> 0"]


def test_the_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    config = load()
    config = replace(config, init={"b": "fresh", "a": "fresh"})
    assert science_fingerprint(config) == science_fingerprint(
        replace(config, init={"a": "fresh", "b": "fresh"})
    )
