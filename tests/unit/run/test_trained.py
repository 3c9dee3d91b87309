"""A finished stage's model has the weights of its artifact, and another stage's artifact is refused."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.artifact import save_artifact
from phi4train.config.load import load_config
from phi4train.config.schema import Config
from phi4train.errors import CheckpointError
from phi4train.model.components import build_model, state_of
from phi4train.run.paths import artifact_path
from phi4train.run.trained import open_trained


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    state = torch.get_rng_state()
    yield
    torch.set_rng_state(state)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return load_config(
        [
            *("stage=lm_pretrain", "scale=demo", f"run.root={tmp_path}", "hardware.device=cpu"),
            *("model.language_model.num_layers=1", "model.language_model.vocab_size=64"),
        ]
    )


def train(config: Config, path: Path, stage: str, seed: int) -> dict[str, torch.Tensor]:
    state = state_of(build_model(config.model, ("language_model",), seed), "language_model")
    save_artifact(
        path,
        {"language_model": state},
        stage=stage,
        parents={},
        recipe={},
        data_fingerprint="d",
        code={},
        results={},
    )
    return state


def test_the_model_has_the_weights_of_the_artifact(config: Config, tmp_path: Path) -> None:
    own = train(config, artifact_path(config, "lm_pretrain"), "lm_pretrain", seed=1)
    other = train(config, tmp_path / "other", "lm_pretrain", seed=2)
    for path, expected in ((None, own), (tmp_path / "other", other)):
        opened = open_trained(config, path)
        found = state_of(opened.model, "language_model")
        assert opened.artifact.path == (path or artifact_path(config, "lm_pretrain"))
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_recipes_precision_decides_the_format_of_the_weights(config: Config) -> None:
    train(config, artifact_path(config, "lm_pretrain"), "lm_pretrain", seed=1)
    half = load_config(
        [
            *("stage=lm_pretrain", "scale=demo", f"run.root={config.run.root}", "hardware.device=cpu"),
            *("model.language_model.num_layers=1", "model.language_model.vocab_size=64"),
            "hardware.precision=bf16_true",
        ]
    )
    assert {p.dtype for p in open_trained(half).model.parameters()} == {torch.bfloat16}


def test_a_missing_artifact_is_told_with_the_command_that_makes_it(config: Config) -> None:
    with pytest.raises(CheckpointError, match=r"needs its artifact: .*Make it with `python -m phi4train"):
        open_trained(config)


def test_the_artifact_of_another_stage_is_refused(config: Config, tmp_path: Path) -> None:
    train(config, tmp_path / "sft", "lm_sft", seed=1)
    with pytest.raises(CheckpointError, match=r"is one of `lm_sft`\. Say stage=lm_sft"):
        open_trained(config, tmp_path / "sft")
