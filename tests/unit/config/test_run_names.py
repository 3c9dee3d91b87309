"""A run's name is one part of a path, so that a run owns its folder and no other."""

from pathlib import Path

import pytest

from phi4train.config.catalog import Catalog
from phi4train.config.load import load_config
from phi4train.config.overrides import check_overrides
from phi4train.config.run_names import default_artifact, run_name_problems, within_bytes
from phi4train.config.schema import Config, RunPathsConfig
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


def test_a_name_that_a_recipe_or_an_interpolation_gives_is_judged_too(tmp_path: Path) -> None:
    (tmp_path / "scale").mkdir()
    (tmp_path / "scale" / "mine.yaml").write_text("# @package _global_\nrun:\n  name: ../mine\n")
    with pytest.raises(ConfigError, match=r"run.name must be one part .* found '\.\./mine'"):
        load_config(["stage=lm_sft", "scale=mine"], tmp_path)
    with pytest.raises(ConfigError, match=r"run.name must be one part .* found 'runs/full'"):
        load_config(["stage=lm_sft", "run.name=${run.root}/${scale}"])


@pytest.mark.parametrize("name", ["x" * 300, "ü" * 200, "aü" * 150])
def test_a_name_is_brought_within_the_bytes_of_a_folder(name: str) -> None:
    short = within_bytes(name)
    assert 240 < len(short.encode()) <= 255 and short[:100] == name[:100]
    assert within_bytes(f"{name}!") != short and list(run_name_problems(short)) == []
    assert within_bytes(name[:100]) == name[:100]


def test_a_parent_is_looked_for_under_the_runs_name_and_then_under_the_scales(tmp_path: Path) -> None:
    config = Config(stage="b", scale="demo", run=RunPathsConfig(root=str(tmp_path), name="try2"))
    own, of_scale = (tmp_path / "a" / name / "artifact" for name in ("try2", "demo"))
    assert default_artifact(config, "a") == own
    of_scale.mkdir(parents=True)
    assert default_artifact(config, "a") == of_scale
    own.mkdir(parents=True)
    assert default_artifact(config, "a") == own
