"""Which settings decide what is learned."""

import pytest

from phi4train.config.convert import config_to_dict
from phi4train.config.fingerprint import science_differences
from phi4train.config.load import load_config
from phi4train.config.schema import Config


def load(*overrides: str) -> Config:
    return load_config(["stage=lm_sft", "scale=demo", *overrides])


@pytest.mark.parametrize(
    "override",
    ["hardware.num_workers=3", "run.root=elsewhere", "logger=wandb", "resume=never", "checkpoint.keep_last_n=5",
     "evaluation.max_samples=3", "description=other"],
)  # fmt: skip
def test_machine_settings_make_no_difference(override: str) -> None:
    assert science_differences(config_to_dict(load()), config_to_dict(load(override))) == []


@pytest.mark.parametrize(
    "override",
    ["optimizer.lr=0.5", "seed=1", "data.max_crops=2", "model.language_model.num_layers=2",
     "budget.max_steps=9", "optimizer.lr_multipliers.language_model=0.5"],
)  # fmt: skip
def test_science_settings_that_differ_are_named(override: str) -> None:
    (difference,) = science_differences(config_to_dict(load()), config_to_dict(load(override)))
    assert difference.startswith(f"{override.split('=')[0]}: ")


def test_differences_show_old_and_new() -> None:
    old, new = load("optimizer.lr=1e-4"), load("optimizer.lr=2e-4")
    assert science_differences(config_to_dict(old), config_to_dict(new)) == ["optimizer.lr: 0.0001 -> 0.0002"]


def test_a_key_of_one_side_only_is_a_difference() -> None:
    old, new = config_to_dict(load()), config_to_dict(load())
    del old["seed"]
    assert science_differences(old, new) == ["seed: (absent) -> 0"]


def test_the_order_of_keys_makes_no_difference() -> None:
    old, new = ({**config_to_dict(load()), "init": dict.fromkeys(names, "fresh")} for names in ("ab", "ba"))
    assert science_differences(old, new) == []
