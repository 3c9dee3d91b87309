"""A run may get more steps where none that is done would have been another one."""

from dataclasses import replace
from typing import Any

import pytest

from phi4train.config.convert import config_to_dict, read_config
from phi4train.config.load import load_config
from phi4train.config.schema import Config
from phi4train.run.extension import find_obstacle, is_other_length


@pytest.fixture(scope="module")
def config() -> Config:
    words = ["stage=lm_sft", "scale=demo", "optimizer.lr=1e-3", "optimizer.lr_law=null"]
    return load_config([*words, "budget.tokens=null", "budget.max_steps=100", "schedule.warmup_fraction=0"])


def with_schedule(config: Config, max_steps: int, **schedule: Any) -> Config:
    values = config_to_dict(replace(config, budget=replace(config.budget, max_steps=max_steps)))
    values["schedule"] |= schedule
    return read_config(values)[0]


@pytest.mark.parametrize(
    ("schedule", "steps_done", "obstacle"),
    [
        ({"kind": "constant"}, 100, None),
        ({"kind": "constant", "warmup_steps": 10}, 100, None),
        ({"kind": "constant", "warmup_fraction": 0.1}, 100, "step 0 had"),
        ({"kind": "cosine"}, 100, "step 1 had"),
        ({"kind": "linear"}, 100, "step 1 had"),
        ({"kind": "wsd", "decay_fraction": 0.2}, 80, None),  # before its decay
        ({"kind": "wsd", "decay_fraction": 0.2}, 81, None),  # its first step still has the whole rate
        ({"kind": "wsd", "decay_fraction": 0.2}, 82, "step 81 had"),
    ],
)
def test_the_schedule_decides(
    config: Config, schedule: dict[str, Any], steps_done: int, obstacle: str | None
) -> None:
    before = config_to_dict(with_schedule(config, 100, **schedule))
    found = find_obstacle(before, with_schedule(config, 200, **schedule), 0, steps_done)
    assert found is None if obstacle is None else obstacle in (found or "")


def test_only_a_branchs_own_steps_count(config: Config) -> None:
    schedule = {"kind": "constant", "warmup_fraction": 0.1}
    before, after = (with_schedule(config, steps, **schedule) for steps in (100, 110))
    assert "step 0 had" in (find_obstacle(config_to_dict(before), after, 0, 50) or "")
    assert find_obstacle(config_to_dict(before), after, 20, 50) is None


def test_steps_that_are_done_cannot_be_taken_back(config: Config) -> None:
    before, after = (with_schedule(config, steps, kind="constant") for steps in (100, 40))
    assert find_obstacle(config_to_dict(before), after, 0, 40) is None
    assert find_obstacle(config_to_dict(before), after, 0, 41) == "41 steps are done already"


def test_only_the_number_of_steps_may_differ() -> None:
    assert is_other_length(["budget.max_steps: 1 -> 2", "budget.tokens: 8 -> null"])
    assert not is_other_length(["budget.max_steps: 1 -> 2", "seed: 0 -> 1"])
    assert not is_other_length([])
