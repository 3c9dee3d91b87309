"""Which manifests a verb of `data` works on, and whose tokenizer and limits it takes."""

from argparse import ArgumentParser
from pathlib import Path

import pytest

from phi4train.cli.data.mixtures import add_mixtures, mixtures_of
from phi4train.config.catalog import Catalog
from phi4train.errors import ConfigError, ManifestError


@pytest.fixture
def few_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages: composing them all takes seconds."""
    few = {"lm_pretrain": "", "lm_sft": ""}
    monkeypatch.setattr(Catalog, "stage_descriptions", lambda self: few)


def found(*words: str) -> list[tuple[str, str, str]]:
    """Stage, scale and manifest of each mixture."""
    parser = ArgumentParser()
    add_mixtures(parser)
    mixtures = mixtures_of(parser.parse_intermixed_args(words))
    return [(config.stage, config.scale, name) for config, name in mixtures]


def test_without_a_name_it_is_what_the_stage_trains_and_is_measured_on() -> None:
    assert found("stage=vision_sft", "scale=demo") == [
        ("vision_sft", "demo", "demo_vision_sft"),
        ("vision_sft", "demo", "demo_vision_sft_eval"),
    ]
    assert found("stage=vision_sft", "scale=demo", "evaluation.manifest=null") == [
        ("vision_sft", "demo", "demo_vision_sft")
    ]


def test_names_are_taken_with_the_stage_that_is_given() -> None:
    assert found("a", "stage=lm_sft", "b") == [("lm_sft", "full", "a"), ("lm_sft", "full", "b")]


@pytest.mark.parametrize(
    ("manifest", "stage", "scale"),
    [
        ("lm_sft", "lm_sft", "full"),
        ("demo_lm_pretrain", "lm_pretrain", "demo"),
        ("demo_lm_sft_eval", "lm_sft", "demo"),
    ],
)
def test_a_name_alone_brings_the_recipe_that_uses_it(
    manifest: str, stage: str, scale: str, few_stages: None
) -> None:
    assert found(manifest) == [(stage, scale, manifest)]


def test_settings_reach_the_recipe_that_a_name_brings(few_stages: None) -> None:
    parser = ArgumentParser()
    add_mixtures(parser)
    options = parser.parse_intermixed_args(["demo_lm_sft", "seed=7", "run.data_root=/d"])
    ((config, _),) = mixtures_of(options)
    assert (config.seed, config.run.data_root) == (7, "/d")


def test_neither_a_name_nor_a_stage_is_a_users_error() -> None:
    with pytest.raises(ConfigError, match="stage"):
        found()


def test_a_manifest_that_no_recipe_uses_needs_a_stage_and_a_missing_one_is_missing(
    tmp_path: Path, few_stages: None
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "name: m\ndescription: d\nsources: [{name: a, shards: [a.tar], weight: 1, licence: CC0}]\n"
    )
    with pytest.raises(ConfigError, match=r"found none that uses .*mine.yaml' · add stage=<name>"):
        found(str(path))
    assert found(str(path), "stage=lm_sft") == [("lm_sft", "full", str(path))]
    with pytest.raises(ManifestError, match="did you mean 'demo_lm_sft'"):
        found("demo_lm_stf")
