"""Where a run starts from: nothing, its newest complete checkpoint, or another run's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from phi4train.checkpoint.training_state import (
    CheckpointFolder,
    DamagedCheckpoint,
    TrainingState,
    load_training_state,
)
from phi4train.config.schema import Resume
from phi4train.errors import CheckpointError, ResumeError
from phi4train.plain_text import say
from phi4train.run.branch import branch_state, first_step
from phi4train.run.opened import OpenedStage
from phi4train.run.run_folder import RunFolder
from phi4train.run.status import StageStatus


@dataclass(frozen=True)
class Start:
    """Where a run starts from.

    Args:
        state: what it goes on from; None: step 0.
        is_new: it begins, in place of what its folder holds.
    """

    state: TrainingState | None
    is_new: bool

    @property
    def step(self) -> int:
        """Index of the next step."""
        return self.state.step if self.state else 0

    @property
    def num_threads(self) -> int | None:
        """CPU threads that the run had so far; None: it begins, or an older version did not note it."""
        return self.state.progress.get("num_threads") if self.state and not self.is_new else None

    @property
    def branched_from(self) -> Mapping[str, Any]:
        """The record of the branch that the run is; empty: it is none."""
        return self.state.progress.get("branched_from", {}) if self.state else {}

    @property
    def steps_done(self) -> range:
        """The steps that the run has trained itself."""
        return range(first_step(self.branched_from), self.step)


def find_start(stage: OpenedStage, mode: Resume, status: StageStatus, console: Console) -> Start:
    """The newest complete checkpoint, or where a new run begins: step 0, or another run's checkpoint.

    Args:
        stage: opened.
        mode: see `config.schema.Resume`.
        status: of the stage.
        console: where it is told.

    Raises:
        ResumeError: the run may not be continued; says what differs.
        CheckpointError: what is there cannot be read.
    """
    folder = stage.folder
    if not folder.is_used() or mode is Resume.overwrite:
        return _beginning(stage)
    if mode is Resume.never:
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
            "put them back, choose another run.name (run.branch_from=<run folder>@<step> may start it), or "
            "start anew with resume=overwrite (the old run is set aside, not deleted)"
        )
    newest, damaged = stage.checkpoints.newest_complete()
    if newest is None:
        _refuse_without_a_whole_one(stage.checkpoints, damaged, folder)
        return _beginning(stage)
    state = load_training_state(newest)
    check_fingerprints(state, stage.inputs.fingerprints())
    for checkpoint in damaged:
        told = (
            f"{checkpoint.path} is damaged ({checkpoint.damage}): set aside as {checkpoint.set_aside().name}"
        )
        say(console, told, style="yellow")
    say(console, f"resuming from {newest}")
    return Start(state, is_new=False)


def _beginning(stage: OpenedStage) -> Start:
    branch_from = stage.config.run.branch_from
    if branch_from is None:
        return Start(None, is_new=True)
    return Start(branch_state(branch_from, stage.config, stage.inputs.fingerprints()), is_new=True)


def _refuse_without_a_whole_one(
    checkpoints: CheckpointFolder, damaged: Sequence[DamagedCheckpoint], folder: RunFolder
) -> None:
    """Refuses to train again, without a word of the user, what damaged checkpoints had already learned."""
    found = [f"{checkpoint.path.name}: {checkpoint.damage}" for checkpoint in damaged]
    found += [f"{path.name}: set aside earlier" for path in checkpoints.set_aside()]
    if found:
        listed = "\n  ".join(("", *found))
        raise CheckpointError(
            f"{folder.checkpoints} must hold a complete checkpoint to go on from · found damaged ones only:"
            f"{listed}\n · restore one from a copy, or start anew with resume=overwrite "
            "(the old run is set aside, not deleted)"
        )


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
