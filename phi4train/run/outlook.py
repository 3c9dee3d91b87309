"""What a stage would do if it were trained now, found out without doing or writing anything."""

import os
from dataclasses import dataclass
from enum import Enum

from rich.console import Console

from phi4train.checkpoint.assembly import ComponentSource
from phi4train.config.schema import Config, Resume
from phi4train.errors import ResumeError
from phi4train.plain_text import say
from phi4train.run.opened import OpenedStage, look_at_stage
from phi4train.run.paths import run_path
from phi4train.run.requeue import current_attempt, resume_mode
from phi4train.run.schedule import build_schedule
from phi4train.run.status import StageStatus


class Action(Enum):
    """What training would begin with."""

    nothing = "is done"
    start = "starts"
    resume = "goes on"
    extend = "goes on, and sets aside its artifact"
    replace = "starts anew, and sets aside what is there"
    refuse = "is refused"


@dataclass(frozen=True)
class Outlook:
    """What would be done with a run folder, and why."""

    action: Action
    reasons: tuple[str, ...]


def foresee(stage: OpenedStage, status: StageStatus) -> Outlook:
    """What `train_opened` would do with a stage."""
    mode = resume_mode(stage.config.resume, status.is_stale, stage.folder, current_attempt(os.environ))
    if status.artifact is not None and mode is Resume.auto:
        return Outlook(Action.nothing, (f"its artifact is {status.artifact.lineage.identity[:12]}",))
    if not stage.folder.is_used():
        return Outlook(Action.start, status.reasons)
    if mode is Resume.overwrite:
        return Outlook(Action.replace, (*status.reasons, "resume=overwrite"))
    if mode is Resume.never:
        return Outlook(Action.refuse, (*status.reasons, "resume=never leaves a used folder alone"))
    if status.is_stale:
        return Outlook(Action.refuse, status.reasons)
    newest, damaged = stage.checkpoints.newest_complete()
    if newest is not None:
        action = Action.extend if status.is_extended else Action.resume
        return Outlook(action, (*status.reasons, f"from {newest}"))
    found = [f"{checkpoint.path.name}: {checkpoint.damage}" for checkpoint in damaged]
    found += [f"{path.name}: set aside earlier" for path in stage.checkpoints.set_aside()]
    return Outlook(Action.refuse, tuple(found)) if found else Outlook(Action.start, status.reasons)


def tell_outlook(config: Config, console: Console) -> None:
    """Prints what training with this configuration would do.

    Raises:
        ResumeError: it would be refused because of what is in its folder.
        Phi4TrainError: it could not even be opened.
    """
    stage = look_at_stage(config)
    outlook = foresee(stage, stage.status())
    for line in outlook_lines(stage, outlook):
        say(console, line)
    if outlook.action is Action.refuse:
        listed = "\n  ".join(("", *outlook.reasons))
        raise ResumeError(
            f"a run must go on with the settings, data and parents it started with · "
            f"found in {stage.folder.path}:{listed}\n · put them back, choose another run.name, or start "
            "anew with resume=overwrite (the old run is set aside, not deleted)"
        )


def heading_lines(config: Config, outlook: Outlook) -> list[str]:
    """What would be done with a stage's folder, and below it the reasons."""
    heading = f"{config.stage} {outlook.action.value}: {run_path(config, config.stage)}"
    return [heading, *(f"  because  {reason}" for reason in outlook.reasons)]


def outlook_lines(stage: OpenedStage, outlook: Outlook) -> list[str]:
    """What would be done, loaded and trained: a heading, and below it a line each."""
    config, inputs = stage.config, stage.inputs
    data = inputs.data.mixture
    num_shards = sum(len(source.tables) for source in data.sources)
    return [
        *heading_lines(config, outlook),
        *(
            f"  parent   {parent} {artifact.lineage.identity[:12]}, {artifact.path}"
            for parent, artifact in inputs.parents.items()
        ),
        *([f"  branch   {config.run.branch_from}"] if config.run.branch_from else []),
        *(
            f"  init     {component}: {_origin(component, value, inputs.initial.get(component))}"
            for component, value in config.init.items()
        ),
        f"  data     {data.manifest.name}: {len(data.sources)} sources, {num_shards:,} shards",
        f"  trains   {', '.join(config.trainable)} for {build_schedule(config).max_steps:,} steps",
    ]


def _origin(component: str, value: str, source: ComponentSource | None) -> str:
    return value if source is None else source.describe(component)
