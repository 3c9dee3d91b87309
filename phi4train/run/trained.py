"""A finished stage's model, opened from its artifact."""

from dataclasses import dataclass
from pathlib import Path

from phi4train.checkpoint.artifact import Artifact, open_artifact
from phi4train.checkpoint.assembly import assemble_model
from phi4train.config.schema import Config
from phi4train.errors import CheckpointError
from phi4train.model.phi4 import Phi4Model
from phi4train.run.paths import artifact_path, train_command
from phi4train.run.torch_setup import cast_weights, prepare_torch


@dataclass(frozen=True)
class TrainedStage:
    """A finished stage's model, with the weights of its artifact and its ancestors, ready to be measured."""

    artifact: Artifact
    model: Phi4Model


def open_trained(config: Config, artifact: Path | None = None) -> TrainedStage:
    """The model of a finished stage, on the recipe's device and in its precision.

    Args:
        artifact: whose weights; None: those of the stage's own run.

    Raises:
        CheckpointError: there is no such artifact (says which command makes it), or another stage made it.
    """
    device = prepare_torch(config.hardware, config.seed)
    opened = _open_own(config, artifact)
    model, _ = assemble_model(config.model, {opened.lineage.stage: opened}, routing=config.data.routing.value)
    cast_weights(model, config.hardware.precision)
    model.to(device)
    return TrainedStage(opened, model)


def _open_own(config: Config, artifact: Path | None) -> Artifact:
    path = artifact or artifact_path(config, config.stage)
    if not path.is_dir():
        raise CheckpointError(
            f"evaluating `{config.stage}` needs its artifact: {path} does not exist. "
            f"Make it with `{train_command(config, config.stage)}`, or name another one with --artifact."
        )
    opened = open_artifact(path, needed_by=f"the evaluation of `{config.stage}`")
    if opened.lineage.stage != config.stage:
        raise CheckpointError(
            f"evaluating `{config.stage}` needs an artifact of that stage: {path} is one of "
            f"`{opened.lineage.stage}`. Say stage={opened.lineage.stage}, or name another --artifact."
        )
    return opened
