"""Hydra's own settings, which can call any Python object, are out of reach of recipes and words."""

from pathlib import Path

import pytest

from phi4train.config.catalog import Catalog
from phi4train.config.hydra_settings import refuse_hydra_settings
from phi4train.config.load import load_config
from phi4train.config.overrides import check_overrides
from phi4train.errors import ConfigError


@pytest.mark.parametrize(
    ("place", "text", "found"),
    [
        ("stage/own.yaml", "hydra: {callbacks: {a: {_target_: shutil.copy}}}", "the key 'hydra'"),
        ("stage/own.yaml", r'"\x68ydra": {callbacks: {}}', "the key 'hydra'"),
        ("stage/own.yaml", "<<: {hydra: {}}", "the key 'hydra'"),
        ("stage/own.yaml", "hydra.callbacks: {}", "the key 'hydra.callbacks'"),
        ("stage/own.yaml", "# @package hydra.callbacks\na: {_target_: shutil.copy}", "a @package header of Hydra's"),
        ("stage/own.yaml", "# @package ${description}\na: {}", "a @package header of Hydra's"),
        ("stage/own.yaml", "defaults: [override /hydra/launcher: own]", "the default 'override /hydra/launcher: own'"),
        ("scale/own.yaml", "defaults: [/stage@hydra.callbacks: x]", "the default '/stage@hydra.callbacks: x'"),
        ("scale/own.yaml", "defaults: ['/stage@${description}': x]", "the default '/stage@${description}: x'"),
        ("any/deep/own.yaml", "defaults: [/hydra/callbacks/x]", "the default '/hydra/callbacks/x'"),
        ("hydra/callbacks/x.yaml", "a: {}", "a group hydra/"),
    ],
)  # fmt: skip
def test_a_file_that_reaches_them_is_refused_before_anything_is_composed(
    place: str, text: str, found: str, tmp_path: Path
) -> None:
    path = tmp_path / place
    path.parent.mkdir(parents=True)
    path.write_text(text)
    for check in (lambda: refuse_hydra_settings(tmp_path), lambda: load_config(["stage=lm_sft"], tmp_path)):
        with pytest.raises(ConfigError) as caught:
            check()
        (problem,) = caught.value.problems
        assert f"· found {found} in {path} · remove it" in problem and "imports may run code" in problem


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    texts = (
        "description: a hydra has heads",
        "a: [",
        "- hydra",
        "# @package _global_\ndefaults: [/stage/x@_here_]\n",
    )
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)
    refuse_hydra_settings(tmp_path)
    refuse_hydra_settings(None)


@pytest.mark.parametrize(
    "word",
    [
        "hydra.callbacks.a._target_=shutil.copy", "+hydra.callbacks.a._target_=shutil.copy", "++hydra={callbacks:{}}",
        "hydra.sweeper._target_=os.system", "hydra/launcher=basic", "hydra/sweeper=own", "~hydra.mode", "hydra.mode=MULTIRUN",
        "hydra.searchpath=[file:///tmp]", "hydra.job_logging.handlers.a.class=x",
    ],
)  # fmt: skip
def test_a_word_that_sets_one_is_refused(word: str) -> None:
    checked = check_overrides(["stage=lm_sft", word], Catalog())
    (problem,) = checked.problems
    assert problem.startswith("Hydra's own settings must stay") and "imports may run code" in problem
    assert word not in checked.accepted


@pytest.mark.parametrize("word", ["stage@hydra.callbacks=lm_sft", "+scale@hydra=demo"])
def test_no_file_is_put_under_another_key(word: str) -> None:
    (problem,) = check_overrides(["stage=lm_sft", word], Catalog()).problems
    assert problem.startswith(f"an override must name a key or a group, without @package · found '{word}'")
