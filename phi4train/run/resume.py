"""Where a run starts from: nothing, or its newest complete checkpoint."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from phi4train.checkpoint.training_state import CheckpointFolder, TrainingState, load_training_state
from phi4train.config.schema import Resume
from phi4train.errors import CheckpointError, ResumeError
from phi4train.plain_text import say
from phi4train.run.opened import OpenedStage
from phi4train.run.status import StageStatus


def state_to_go_on_from(stage: OpenedStage, status: StageStatus, console: Console) -> TrainingState | None:
    """The state of the newest complete checkpoint; None: start anew. See `config.schema.Resume`.

    Raises:
        ResumeError: the run may not be continued; says what differs.
        CheckpointError: what is there cannot be read.
    """
    config, folder = stage.config, stage.folder
    if not folder.is_used() or config.resume is Resume.overwrite:
        return None
    if config.resume is Resume.never:
        raise ResumeError(
            f"with resume=never the run folder must be unused · found an earlier run in {folder.path} · "
            "choose another run.name, or resume=auto to go on, or resume=overwrite to set it aside"
        )
    if status.is_damaged:
        raise CheckpointError(
            f"{status.reasons[0]}, or start anew with resume=overwrite "
            "(the old run is set aside, not deleted)"
        )
    if status.is_stale:
        listed = "\n  ".join(("", *status.reasons))
        raise ResumeError(
            "a run must go on with the settings, data and parents it started with · "
            f"found others in {folder.path}:{listed}\n · "
            "put them back, choose another run.name, or start anew with resume=overwrite "
            "(the old run is set aside, not deleted)"
        )
    state = _newest_state(stage.checkpoints, console)
    if state is not None:
        check_fingerprints(state, stage.inputs.fingerprints())
    return state


def _newest_state(checkpoints: CheckpointFolder, console: Console) -> TrainingState | None:
    newest, passed_over = checkpoints.newest_complete()
    for line in passed_over:
        say(console, line, style="yellow")
    if newest is None:
        return None
    say(console, f"resuming from {newest}")
    return load_training_state(newest)


def check_fingerprints(state: TrainingState, inputs: Mapping[str, Any]) -> None:
    """Refuses a state that belongs to other data or parents.

    Raises:
        ResumeError: names what changed.
    """
    before = state.progress["inputs"]
    changed = [key for key in sorted(before.keys() | inputs.keys()) if before.get(key) != inputs.get(key)]
    if changed:
        raise ResumeError(
            "a run must go on with the data and parents it started from · "
            f"found changed: {', '.join(changed)} · "
            "put them back, or start anew with resume=overwrite (the old run is set aside, not deleted)"
        )
