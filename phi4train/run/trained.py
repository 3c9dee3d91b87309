"""A finished stage's model, opened from its artifact, with sizes and tokenizer as it was trained."""

from dataclasses import dataclass
from pathlib import Path

from phi4train.checkpoint.artifact import Artifact, open_artifact
from phi4train.checkpoint.assembly import assemble_model
from phi4train.config.convert import read_config
from phi4train.config.schema import Config, HardwareConfig
from phi4train.data.samples.tokenizer import Tokenizer, load_tokenizer
from phi4train.errors import CheckpointError, quoted
from phi4train.model.phi4 import Phi4Model
from phi4train.run.paths import artifact_path, train_command
from phi4train.run.torch_setup import cast_weights, prepare_torch

_DECIDING_SECTIONS = ("model", "tokenizer", "data")
"""Parts of a recipe that decide what a model is and how it is prompted."""


@dataclass(frozen=True)
class TrainedModel:
    """A model with the weights of an artifact and its ancestors, in eval mode.

    Args:
        artifact: whose weights.
        recipe: science part of the configuration that it was trained with, defaults elsewhere.
        tokenizer: of the recipe.
    """

    artifact: Artifact
    recipe: Config
    model: Phi4Model
    tokenizer: Tokenizer


def open_model(artifact: Artifact, hardware: HardwareConfig, data_root: Path) -> TrainedModel:
    """The model of an artifact on a device and in a precision.

    Args:
        artifact: as `open_artifact` gives it.
        hardware: device, threads and precision.
        data_root: where a tokenizer file is looked up.

    Raises:
        CheckpointError: a tensor is damaged, or the recipe is one of another version of phi4train.
        ConfigError: the artifact holds a component that no imported module registers.
        ManifestError: the tokenizer is not in `data_root`.
    """
    recipe = _recipe_of(artifact)
    device = prepare_torch(hardware, recipe.seed)
    model, _ = assemble_model(
        recipe.model, {artifact.lineage.stage: artifact}, routing=recipe.data.routing.value
    )
    cast_weights(model, hardware.precision)
    model.to(device).eval()
    return TrainedModel(artifact, recipe, model, load_tokenizer(recipe.tokenizer, data_root))


def find_artifact(config: Config, artifact: Path | None = None) -> Artifact:
    """The artifact of a finished stage.

    Args:
        config: the stage's recipe.
        artifact: its folder; None: that of the stage's own run.

    Raises:
        CheckpointError: there is no such artifact (says which command makes it), or another stage made it.
    """
    path = artifact or artifact_path(config, config.stage)
    if not path.is_dir():
        raise CheckpointError(
            f"evaluating `{config.stage}` needs its artifact · found none at {path} · "
            f"make it with `{train_command(config, config.stage)}`, or name another one with --artifact"
        )
    opened = open_artifact(path, needed_by=f"the evaluation of `{config.stage}`")
    if opened.lineage.stage != config.stage:
        raise CheckpointError(
            f"evaluating `{config.stage}` needs an artifact of that stage · found one of "
            f"`{opened.lineage.stage}` in {path} · "
            f"say stage={opened.lineage.stage}, or name another --artifact"
        )
    return opened


def _recipe_of(artifact: Artifact) -> Config:
    recipe, unread = read_config(artifact.lineage.recipe)
    problems = [problem for key, problem in unread.items() if key.split(".")[0] in _DECIDING_SECTIONS]
    if problems:
        raise CheckpointError(
            f"the recipe in {artifact.path}/lineage.json must be one of this version of phi4train · found "
            f"{'; '.join(map(quoted, problems))} · use the version that wrote it, or train its stage again"
        )
    return recipe
