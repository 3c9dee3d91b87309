"""Whether a stage is done, and if not, why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from phi4train.checkpoint.artifact import Artifact, open_artifact
from phi4train.checkpoint.store import find_damage
from phi4train.checkpoint.training_state import CheckpointFolder
from phi4train.config.fingerprint import science_differences
from phi4train.config.schema import Config
from phi4train.errors import CheckpointError
from phi4train.run.branch import first_step
from phi4train.run.extension import find_obstacle, is_other_length
from phi4train.run.run_folder import RunFolder


@dataclass(frozen=True)
class StageStatus:
    """What there is of a stage.

    Args:
        artifact: the valid artifact, when the stage is done.
        reasons: why it is not done; one reason a line.
        is_stale: what is there belongs to another recipe, other data or other parents, or is damaged.
        is_damaged: what is there cannot be read.
        is_extended: the stage was done with another number of steps, and goes on: its artifact is set aside.
    """

    artifact: Artifact | None
    reasons: tuple[str, ...]
    is_stale: bool = False
    is_damaged: bool = False
    is_extended: bool = False


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
        record = _recorded(config.stage, folder, checkpoints)
    except CheckpointError as error:
        return StageStatus(None, (str(error),), is_stale=True, is_damaged=True)
    changed = science_differences(record.recipe, config)
    others = fingerprint_differences(record.fingerprints, inputs) if record.fingerprints is not None else []
    asked = config.run.branch_from
    if asked is not None and record.branched_from.get("from") != asked:
        others.append(f"run.branch_from: {record.branched_from.get('from', 'none')} -> {asked}")
    if is_other_length(changed) and not others:
        return _of_another_length(config, record, checkpoints, changed)
    reasons = (*(f"recipe: {difference}" for difference in changed), *others)
    if reasons:
        return StageStatus(None, reasons, is_stale=True)
    return StageStatus(record.artifact, () if record.artifact else (record.state,))


@dataclass(frozen=True)
class _Record:
    """What a used run folder says of itself.

    Args:
        artifact: the valid one, if there is one.
        recipe: what it was trained with.
        fingerprints: of its inputs; None: nothing that is whole tells them.
        branched_from: the record of a branch; empty: it is none.
        state: why there is no artifact.
    """

    artifact: Artifact | None
    recipe: Mapping[str, Any]
    fingerprints: Mapping[str, str] | None
    branched_from: Mapping[str, Any]
    state: str = "it was interrupted"


def _recorded(stage: str, folder: RunFolder, checkpoints: CheckpointFolder) -> _Record:
    """What there is of a run, from its artifact, or from its configuration and newest whole checkpoint.

    Raises:
        CheckpointError: the artifact is damaged and cannot be made again, or config.yaml cannot be read.
    """
    state = "it was interrupted"
    if folder.artifact.is_dir():
        damage = find_damage(folder.artifact)
        if damage is None:
            artifact = open_artifact(folder.artifact, needed_by=f"stage `{stage}`")
            lineage = artifact.lineage
            return _Record(artifact, lineage.recipe, lineage.fingerprints(), lineage.branched_from)
        if checkpoints.newest_document() is None:
            raise CheckpointError(
                f"the artifact {folder.artifact} must be whole, or a checkpoint beside it, which it can be "
                f"made from again · found that {damage}, and no whole checkpoint · restore it from a copy"
            )
        state = f"its artifact is damaged ({damage}) and is made again from the newest checkpoint"
    recipe = folder.read_config()
    if recipe is None:
        raise CheckpointError(
            f"{folder.config} must say what the checkpoints beside it were trained with · found no such file "
            "· put it back"
        )
    newest = checkpoints.newest_document()
    if newest is None:
        return _Record(None, recipe, None, {}, state)
    progress = newest["progress"]
    return _Record(None, recipe, progress["inputs"], progress.get("branched_from", {}), state)


def _of_another_length(
    config: Config, record: _Record, checkpoints: CheckpointFolder, changed: Sequence[str]
) -> StageStatus:
    """Of a run whose recipe says more or fewer steps than it was begun with: it goes on where it can."""
    newest = checkpoints.newest_document()
    if newest is None:
        obstacle: str | None = "no whole checkpoint is left to go on from"
    else:
        first = first_step(record.branched_from)
        obstacle = find_obstacle(record.recipe, config, first, newest["step"])
    if obstacle is None:
        told = f"it goes on to another number of steps ({', '.join(changed)})"
        return StageStatus(None, (told,), is_extended=record.artifact is not None)
    return StageStatus(None, tuple(f"recipe: {one}, but {obstacle}" for one in changed), is_stale=True)


def fingerprint_differences(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What changed between two sets of fingerprints, as `parent lm_sft: 0123456789ab -> none`."""
    return [
        f"{key}: {before.get(key, 'none')[:12]} -> {now.get(key, 'none')[:12]}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
