"""Which settings decide what is learned."""

from dataclasses import replace
from typing import Any

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
    assert science_differences(config_to_dict(load()), load(override)) == []


@pytest.mark.parametrize(
    "override",
    ["optimizer.lr=0.5", "seed=1", "data.max_crops=2", "model.language_model.num_layers=2",
     "budget.max_steps=9", "optimizer.lr_multipliers.language_model=0.5"],
)  # fmt: skip
def test_science_settings_that_differ_are_named(override: str) -> None:
    (difference,) = science_differences(config_to_dict(load()), load(override))
    assert difference.startswith(f"{override.split('=')[0]}: ")


def test_differences_show_old_and_new() -> None:
    old, new = load("optimizer.lr=1e-4"), load("optimizer.lr=2e-4")
    assert science_differences(config_to_dict(old), new) == ["optimizer.lr: 0.0001 -> 0.0002"]


@pytest.mark.parametrize(
    "lost", ["seed", "auxiliary", "data.routing", "optimizer.eps", "model.audio.num_mels"]
)
def test_a_key_that_an_earlier_version_did_not_have_had_its_default(lost: str) -> None:
    old: Any = config_to_dict(Config())
    *sections, key = lost.split(".")
    section = old
    for name in sections:
        section = section[name]
    del section[key]
    assert science_differences(old, Config()) == []


def test_a_key_that_an_earlier_version_did_not_have_is_a_difference_where_it_is_set_now() -> None:
    old = config_to_dict(load())
    del old["seed"]
    assert science_differences(old, load("seed=3")) == ["seed: 0 -> 3"]


def test_what_this_version_cannot_read_is_a_difference() -> None:
    old: Any = config_to_dict(load()) | {"dropout": {"rate": 0.1}, "seed": "seven"}
    old["data"]["shuffle"] = True
    assert science_differences(old, load()) == [
        "data.shuffle: true -> (absent)",
        "dropout.rate: 0.1 -> (absent)",
        'seed: "seven" -> 0',
    ]


def test_the_order_of_keys_makes_no_difference() -> None:
    old, new = (replace(load(), init=dict.fromkeys(names, "fresh")) for names in ("ab", "ba"))
    assert science_differences(config_to_dict(old), new) == []
