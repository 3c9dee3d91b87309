"""Between mappings and the typed configuration."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from phi4train.config.convert import config_to_dict, read_config
from phi4train.config.load import load_config
from phi4train.config.schema import Config, Precision, Resume


def read(values: Mapping[str, Any]) -> Config:
    config, problems = read_config(values)
    assert not problems
    return config


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(["stage=vision_sft", "scale=demo", "optimizer.lr_multipliers.lora.vision=0.5"])


def test_a_configuration_survives_json_and_yaml(config: Config) -> None:
    assert read(json.loads(json.dumps(config_to_dict(config)))) == config
    assert read(yaml.safe_load(yaml.safe_dump(config_to_dict(config)))) == config


def test_a_mapping_keeps_defaults_for_absent_keys() -> None:
    assert read({"stage": "x", "seed": 3}) == Config(stage="x", seed=3)


def test_enums_are_written_and_read_by_name() -> None:
    config = read({"resume": "never", "hardware": {"precision": "bf16_true"}})
    assert (config.resume, config.hardware.precision) == (Resume.never, Precision.bf16_true)
    assert config_to_dict(config)["hardware"]["precision"] == "bf16_true"


@pytest.mark.parametrize("value", [5_000_000_000_000, 5e12, "5e12"])
def test_whole_numbers_may_be_written_with_an_exponent(value: object) -> None:
    tokens = read({"budget": {"tokens": value}}).budget.tokens
    assert tokens == 5_000_000_000_000
    assert isinstance(tokens, int)


def test_all_unreadable_values_are_reported_with_their_keys() -> None:
    values = {
        "seed": True,
        "data": {"max_crops": None, "nope": 1},
        "model": {"lora": {"vision": {"rank": 4, "r": "x"}}},
    }
    problems = read_config(values)[1]
    assert all(problem.startswith(f"{key} must be ") for key, problem in problems.items())
    assert sorted(problems) == [
        "data.max_crops",
        "data.nope",
        "model.lora.vision.r",
        "model.lora.vision.rank",
        "seed",
    ]
