"""A finished stage's model comes back from its artifact alone, and another stage's artifact is refused."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.artifact import Artifact, save_artifact
from phi4train.config.convert import config_to_dict
from phi4train.config.load import load_config
from phi4train.config.schema import MACHINE_KEYS, Config, Precision
from phi4train.data.samples.tokenizer import train_bpe
from phi4train.errors import CheckpointError, ManifestError
from phi4train.model.components import build_model, state_of
from phi4train.run.paths import artifact_path
from phi4train.run.trained import find_artifact, open_model


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    train_bpe(["the cat runs in the world"] * 9, 384, tmp_path / "own.json")
    return load_config(
        [
            *("stage=lm_pretrain", "scale=demo", f"run.root={tmp_path}", "hardware.device=cpu"),
            *("model.language_model.num_layers=1", "model.language_model.vocab_size=512"),
            *("data.routing=token", "tokenizer=own.json"),
        ]
    )


def recipe_of(config: Config) -> dict[str, object]:
    return {key: value for key, value in config_to_dict(config).items() if key not in MACHINE_KEYS}


def train(
    config: Config, path: Path | None = None, stage: str = "lm_pretrain", **recipe: object
) -> tuple[Artifact, dict[str, torch.Tensor]]:
    """An artifact as a run of this configuration would leave it, and its weights."""
    state = state_of(build_model(config.model, ("language_model",), config.seed), "language_model")
    artifact = save_artifact(
        path or artifact_path(config, "lm_pretrain"),
        {"language_model": state},
        stage=stage,
        parents={},
        recipe=recipe_of(config) | recipe,
        data_fingerprint="d",
        code={},
        results={},
    )
    return artifact, state


def test_the_artifact_is_that_of_the_own_run_or_the_named_one(config: Config, tmp_path: Path) -> None:
    own, _ = train(config)
    other, _ = train(replace(config, seed=2), tmp_path / "other")
    assert find_artifact(config) == own
    assert find_artifact(config, tmp_path / "other") == other != own


def test_a_missing_artifact_is_told_with_the_command_that_makes_it(config: Config) -> None:
    with pytest.raises(
        CheckpointError, match=r"needs its artifact · found none .* · make it with `python -m phi4train"
    ):
        find_artifact(config)


def test_the_artifact_of_another_stage_is_refused(config: Config, tmp_path: Path) -> None:
    train(config, tmp_path / "sft", stage="lm_sft")
    with pytest.raises(CheckpointError, match=r"found one of `lm_sft` in .* · say stage=lm_sft"):
        find_artifact(config, tmp_path / "sft")


def test_the_model_has_the_weights_of_the_artifact_and_is_in_eval_mode(
    config: Config, tmp_path: Path
) -> None:
    artifact, expected = train(replace(config, seed=5))
    opened = open_model(artifact, config.hardware, tmp_path)
    found = state_of(opened.model, "language_model")
    assert opened.artifact is artifact and found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert not any(module.training for module in opened.model.modules())


def test_sizes_tokenizer_and_routing_come_from_the_lineage_alone(config: Config, tmp_path: Path) -> None:
    artifact, _ = train(config)
    opened = open_model(artifact, config.hardware, tmp_path)
    assert opened.recipe == replace(config, **{key: getattr(Config(), key) for key in MACHINE_KEYS})
    assert opened.model.language_model.shape.num_layers == 1
    assert opened.model.routing_rule == "token"
    assert opened.tokenizer.vocab_size == 384
    by_sample, _ = train(config, tmp_path / "sample", data=recipe_of(config)["data"] | {"routing": "sample"})  # type: ignore[operator]
    assert open_model(by_sample, config.hardware, tmp_path).model.routing_rule == "sample"


def test_a_tokenizer_that_is_gone_is_told(config: Config, tmp_path: Path) -> None:
    artifact, _ = train(config)
    with pytest.raises(ManifestError, match=r"found no file 'own\.json' in .* · check"):
        open_model(artifact, config.hardware, tmp_path / "elsewhere")


def test_the_precision_of_the_machine_decides_the_format_of_the_weights(
    config: Config, tmp_path: Path
) -> None:
    artifact, _ = train(config)
    for precision, dtype in ((Precision.bf16_true, torch.bfloat16), (Precision.fp32, torch.float32)):
        opened = open_model(artifact, replace(config.hardware, precision=precision), tmp_path)
        assert {p.dtype for p in opened.model.parameters()} == {dtype}


def test_a_recipe_of_another_version_is_refused_where_it_decides_what_the_model_is(
    config: Config, tmp_path: Path
) -> None:
    foreign, _ = train(config, tmp_path / "foreign", model=config_to_dict(config)["model"] | {"wings": 2})
    with pytest.raises(
        CheckpointError, match=r"of this version.*model\.wings must be a key.*use the version"
    ):
        open_model(foreign, config.hardware, tmp_path)
    harmless, _ = train(config, tmp_path / "harmless", optimizer={"wings": 2})
    assert open_model(harmless, config.hardware, tmp_path).model.language_model.shape.num_layers == 1
