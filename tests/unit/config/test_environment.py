"""Secrets of the environment never get into a configuration; paths of this machine do."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from phi4train.config.environment import register
from phi4train.config.load import load_config
from phi4train.errors import ConfigError

SECRET = "not to be told"
BASE = ["stage=lm_sft", "scale=demo"]


@pytest.fixture(autouse=True)
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_API_KEY", "HF_TOKEN", "PGPASSWORD", "MY_SECRET", "PLAIN"):
        monkeypatch.setenv(name, SECRET)
    for name in ("SCRATCH", "PASSAGES_DIR", "AUTHORS", "KEYNOTES_PATH"):
        monkeypatch.setenv(name, "/scratch/me")
    monkeypatch.delenv("UNSET", raising=False)


@pytest.mark.parametrize(
    "override",
    [
        "description=${oc.env:WANDB_API_KEY}",
        "description=before ${oc.env:PLAIN} behind",
        "source=${oc.env:PLAIN,none}",
        "logger.wandb_project=${oc.env:PLAIN}",
        "trainable=[${oc.env:PLAIN}]",
        "init.language_model=${oc.env:PLAIN}",
        "seed=${oc.env:PLAIN}",
        "run.name=${oc.env:HF_TOKEN}",
        "run.root=/x/${oc.env:PGPASSWORD}",
        "run.parents.lm_pretrain=${oc.env:MY_SECRET}",
    ],
)
def test_a_secret_is_refused_wherever_it_would_be_written_and_not_told(override: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config([*BASE, override])
    (problem,) = caught.value.problems
    name = override.partition("oc.env:")[2].rstrip("}]").partition(",")[0].partition("}")[0]
    assert f"found ${{oc.env:{name}}} in {override.partition('=')[0].partition('[')[0]}" in problem
    assert SECRET not in problem and "· remove it" in problem


def test_a_recipe_cannot_reach_a_secret_either(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    recipe = "# @package _global_\ndefaults: [lm_sft]\ndescription: ${run.name}\nrun: {name: '${oc.env:HF_TOKEN}'}\n"
    (tmp_path / "stage" / "own.yaml").write_text(recipe)
    with pytest.raises(ConfigError, match=r"found \$\{oc.env:HF_TOKEN\} in run.name") as caught:
        load_config(["stage=own", "scale=demo"], tmp_path)
    assert SECRET not in str(caught.value)


def test_paths_and_names_of_this_machine_may_come_from_the_environment() -> None:
    config = load_config(
        [
            *BASE,
            "run.root=${oc.env:SCRATCH}/runs",
            "run.name=${oc.env:UNSET,first}",
            "run.data_root=${run.root}/d",
        ]
    )
    assert (config.run.root, config.run.name) == ("/scratch/me/runs", "first")
    assert config.run.data_root == "/scratch/me/runs/d"


@pytest.mark.parametrize("name", ["PASSAGES_DIR", "AUTHORS", "KEYNOTES_PATH"])
def test_a_name_that_only_looks_a_little_like_a_secrets_is_none(name: str) -> None:
    assert load_config([*BASE, f"run.root=${{oc.env:{name}}}"]).run.root == "/scratch/me"


def test_a_variable_that_is_not_set_is_told() -> None:
    with pytest.raises(ConfigError, match=r"found no UNSET in the environment · set it, or give a default"):
        load_config([*BASE, "run.root=${oc.env:UNSET}"])


def test_the_resolver_stays_ours_when_it_is_registered_again() -> None:
    register()
    register()
    with pytest.raises(Exception, match="no secrets"):
        OmegaConf.to_container(OmegaConf.create({"a": "${oc.env:PLAIN}"}), resolve=True)
