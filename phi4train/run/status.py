"""Whether a stage is done, and if not, why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from phi4train.checkpoint.artifact import Artifact, open_artifact
from phi4train.checkpoint.training_state import CheckpointFolder
from phi4train.config.fingerprint import science_differences
from phi4train.config.schema import Config
from phi4train.errors import CheckpointError
from phi4train.run.run_folder import RunFolder


@dataclass(frozen=True)
class StageStatus:
    """What there is of a stage.

    Args:
        artifact: the valid artifact, when the stage is done.
        reasons: why it is not done; one reason a line.
        is_stale: what is there belongs to another recipe, other data or other parents, or is damaged.
        is_damaged: what is there cannot be read.
    """

    artifact: Artifact | None
    reasons: tuple[str, ...]
    is_stale: bool = False
    is_damaged: bool = False


def stage_status(
    config: Config, folder: RunFolder, checkpoints: CheckpointFolder, inputs: Mapping[str, str]
) -> StageStatus:
    """Compares what a run folder holds with what the stage would be trained from today.

    Args:
        config: of the run.
        folder: of the run.
        checkpoints: in that folder.
        inputs: `StageInputs.fingerprints()` of today.
    """
    if not folder.is_used():
        return StageStatus(None, ("it has no artifact yet",))
    try:
        artifact, recipe, recorded = _recorded(config.stage, folder, checkpoints)
    except CheckpointError as error:
        return StageStatus(None, (str(error),), is_stale=True, is_damaged=True)
    changed = science_differences(recipe, config)
    reasons = [f"recipe: {difference}" for difference in changed]
    if recorded is not None:
        reasons += fingerprint_differences(recorded, inputs)
    if reasons:
        return StageStatus(None, tuple(reasons), is_stale=True)
    return StageStatus(artifact, () if artifact else ("it was interrupted",))


def _recorded(
    stage: str, folder: RunFolder, checkpoints: CheckpointFolder
) -> tuple[Artifact | None, Mapping[str, Any], Mapping[str, str] | None]:
    """The artifact of a used run folder, and the recipe and inputs of it or of the newest checkpoint.

    Raises:
        CheckpointError: the artifact is damaged, or config.yaml cannot be read.
    """
    if folder.artifact.is_dir():
        artifact = open_artifact(folder.artifact, needed_by=f"stage `{stage}`")
        return artifact, artifact.lineage.recipe, artifact.lineage.fingerprints()
    recipe = folder.read_config()
    if recipe is None:
        raise CheckpointError(
            f"{folder.config} must say what the checkpoints beside it were trained with · found no such file "
            "· put it back"
        )
    return None, recipe, checkpoints.newest_fingerprints()


def fingerprint_differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What changed between two sets of fingerprints, as `parent lm_sft: 0123456789ab -> none`."""
    return [
        f"{key}: {before.get(key, 'none')[:12]} -> {now.get(key, 'none')[:12]}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
