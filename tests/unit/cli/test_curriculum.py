"""The words after `curriculum`: which stages run, with which settings, and what is refused."""

import sys
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from phi4train.cli.curriculum import run
from phi4train.config import load
from phi4train.config.curricula import load_curriculum
from phi4train.config.schema import Config
from phi4train.errors import ConfigError


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Config]:
    """Configurations of the stages that would have been brought up to date."""
    configs: list[Config] = []

    def bring_up_to_date(stages: list[str], load: Any, console: object, may_replace: bool) -> None:
        configs.extend(load(stage) for stage in stages)

    fake = SimpleNamespace(run_curriculum=bring_up_to_date)
    monkeypatch.setitem(sys.modules, "phi4train.curriculum.running", fake)
    return configs


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with a curriculum of two stages."""
    (tmp_path / "curriculum").mkdir()
    (tmp_path / "curriculum" / "short.yaml").write_text("description: d\nstages: [lm_pretrain, lm_sft]\n")
    return tmp_path


def test_every_stage_gets_the_same_words(ran: list[Config], own: Path) -> None:
    words = ["scale=demo", "--name", "short", "seed=4", "--config-dir", str(own)]
    run(ArgumentParser(), words)
    assert [(config.stage, config.scale, config.seed) for config in ran] == [
        ("lm_pretrain", "demo", 4),
        ("lm_sft", "demo", 4),
    ]


def test_without_a_name_the_whole_curriculum_runs(ran: list[Config], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "load_config", lambda words, _: Config(stage=words[0].removeprefix("stage=")))
    run(ArgumentParser(), ["scale=demo"])
    assert [config.stage for config in ran] == list(load_curriculum().stages)


def test_a_mistake_in_one_stage_is_told_with_its_name_and_nothing_runs(ran: list[Config], own: Path) -> None:
    words = ["scale=demo", "--name", "short", "--config-dir", str(own)]
    with pytest.raises(ConfigError) as caught:
        run(ArgumentParser(), [*words, "init.language_model=fresh", "seed=x"])
    told = caught.value.problems
    assert "seed must be a whole number · found 'x' · correct the value" in told
    assert [problem.split(":")[0] for problem in told if "no parent provides" in problem] == ["lm_sft"]
    assert ran == []


def test_words_that_choose_a_stage_or_nothing_are_all_refused_at_once(ran: list[Config]) -> None:
    with pytest.raises(ConfigError) as caught:
        run(ArgumentParser(), ["stage=lm_sft", "+stage=lm_sft", "demo", "~optimizer.lr_law"])
    assert len(caught.value.problems) == 3
    assert ran == []
