"""Whether a stage is done, and if not, why."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from phi4train.checkpoint.artifact import Artifact, open_artifact
from phi4train.config.convert import config_to_dict
from phi4train.config.fingerprint import science_differences
from phi4train.config.schema import Config
from phi4train.errors import CheckpointError


@dataclass(frozen=True)
class StageStatus:
    """What there is of a stage.

    Args:
        artifact: the valid artifact, when the stage is done.
        reasons: why it is not done; one reason a line.
        is_stale: an artifact is there, but of another recipe, other data or other parents.
    """

    artifact: Artifact | None
    reasons: tuple[str, ...]
    is_stale: bool = False


def stage_status(
    config: Config, artifact_path: Path, data_fingerprint: str, parents: Mapping[str, Artifact]
) -> StageStatus:
    """Compares a stage's artifact with what the stage would be trained from today."""
    if not artifact_path.is_dir():
        return StageStatus(None, ("it has no artifact yet",))
    try:
        artifact = open_artifact(artifact_path, needed_by=f"stage `{config.stage}`")
    except CheckpointError as error:
        return StageStatus(None, (str(error),), is_stale=True)
    lineage = artifact.lineage
    changed = science_differences(lineage.recipe, config_to_dict(config))
    reasons = [f"recipe: {difference}" for difference in changed]
    if lineage.data_fingerprint != data_fingerprint:
        reasons.append(f"data: {lineage.data_fingerprint[:12]} -> {data_fingerprint[:12]}")
    for stage, parent in parents.items():
        if lineage.parents.get(stage) != parent.lineage.identity:
            before = lineage.parents.get(stage, "none")[:12]
            reasons.append(f"parent {stage}: {before} -> {parent.lineage.identity[:12]}")
    if reasons:
        return StageStatus(None, tuple(reasons), is_stale=True)
    return StageStatus(artifact, ())
