"""A run's name is one part of a path, so that a run owns its folder and no other."""

from pathlib import Path

import pytest

from phi4train.config.catalog import Catalog
from phi4train.config.load import load_config
from phi4train.config.overrides import check_overrides
from phi4train.config.run_names import run_name_problems
from phi4train.config.trials import name_trial
from phi4train.errors import ConfigError


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../../x", "a/b", "/a", "a b", "a\n", "a\x1b", "~", "a" * 256, "ü" * 128]
)
def test_a_name_that_would_lead_elsewhere_is_refused(name: str) -> None:
    (problem,) = run_name_problems(name)
    assert problem.startswith("run.name must") and problem.count(" · ") == 2


@pytest.mark.parametrize("name", ["demo", "demo-optimizer.lr-0.001", "a=b+c", "...", ".hidden", "ü" * 127])
def test_a_plain_name_is_taken(name: str) -> None:
    assert list(run_name_problems(name)) == []


@pytest.mark.parametrize(
    "word", ["run.name=", "run.name='../../x'", "run.name='a b'", "run.name=..", "run.name=a/b"]
)
def test_it_is_refused_before_anything_is_composed(word: str) -> None:
    checked = check_overrides(["stage=lm_sft", word], Catalog())
    assert [problem[:30] for problem in checked.problems] == ["run.name must be one part of a"]
    assert word not in checked.accepted


def test_every_name_of_a_sweep_is_judged() -> None:
    checked = check_overrides(["stage=lm_sft", "run.name=a,..,b"], Catalog(), multirun=True)
    assert len(checked.problems) == 1 and "found '..'" in checked.problems[0]


def test_a_name_that_a_recipe_or_an_interpolation_gives_is_judged_too(tmp_path: Path) -> None:
    (tmp_path / "scale").mkdir()
    (tmp_path / "scale" / "mine.yaml").write_text("# @package _global_\nrun:\n  name: ../mine\n")
    with pytest.raises(ConfigError, match=r"run.name must be one part .* found '\.\./mine'"):
        load_config(["stage=lm_sft", "scale=mine"], tmp_path)
    with pytest.raises(ConfigError, match=r"run.name must be one part .* found 'runs/full'"):
        load_config(["stage=lm_sft", "run.name=${run.root}/${scale}"])


def test_the_name_of_a_trial_that_no_folder_could_have_is_refused() -> None:
    overrides = ["stage=lm_sft", f"description={'x' * 250}"]
    with pytest.raises(ConfigError, match=r"run\.name must have at most 255 bytes"):
        name_trial(load_config(overrides), overrides, ["description"])
