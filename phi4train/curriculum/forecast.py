"""What a curriculum would do with each of its stages, found out before anything trains or is replaced."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console

from phi4train.config.schema import Config
from phi4train.curriculum.graph import order_stages
from phi4train.errors import ResumeError
from phi4train.plain_text import say
from phi4train.run.opened import OpenedStage, look_at_stage
from phi4train.run.outlook import Action, Outlook, foresee, heading_lines, outlook_lines
from phi4train.run.paths import run_path
from phi4train.run.run_folder import RunFolder
from phi4train.run.status import StageStatus


@dataclass(frozen=True)
class Forecast:
    """What would be done with one stage.

    Args:
        config: of its run.
        outlook: what, and why.
        stage: opened; None: a parent has to be trained before.
    """

    config: Config
    outlook: Outlook
    stage: OpenedStage | None


def ordered_configs(stages: Sequence[str], load: Callable[[str], Config]) -> list[Config]:
    """The configurations of stages, parents before their children."""
    configs = {stage: load(stage) for stage in stages}
    order = order_stages(stages, {stage: configs[stage].parents for stage in stages})
    return [configs[stage] for stage in order]


def foresee_curriculum(configs: Sequence[Config]) -> list[Forecast]:
    """What would be done with each stage; nothing is done or written.

    Args:
        configs: parents before their children.

    Raises:
        Phi4TrainError: a stage whose parents are all there cannot be opened.
    """
    found: dict[str, Forecast] = {}
    for config in configs:
        waits_for = [
            parent for parent in config.parents if found[parent].outlook.action is not Action.nothing
        ]
        if waits_for:
            found[config.stage] = Forecast(config, _behind(config, waits_for), None)
        else:
            stage = look_at_stage(config)
            found[config.stage] = Forecast(config, outlook_in_curriculum(stage, stage.status()), stage)
    return list(found.values())


def outlook_in_curriculum(stage: OpenedStage, status: StageStatus) -> Outlook:
    """A curriculum leaves alone what is done whatever `resume` says, and replaces what is stale."""
    if status.artifact is not None:
        return Outlook(Action.nothing, (f"its artifact is {status.artifact.lineage.identity[:12]}",))
    return Outlook(Action.replace, status.reasons) if status.is_stale else foresee(stage, status)


def _behind(config: Config, waits_for: Sequence[str]) -> Outlook:
    """The outlook of a stage whose parents are trained first."""
    reason = f"its parents are trained first: {', '.join(waits_for)}"
    is_used = RunFolder(run_path(config, config.stage)).is_used()
    return Outlook(Action.replace if is_used else Action.start, (reason,))


def require_leave(forecasts: Sequence[Forecast]) -> None:
    """Refuses to replace what earlier runs have trained.

    Raises:
        ResumeError: lists the stages and why each would be replaced.
    """
    replaced = [one for one in forecasts if one.outlook.action in (Action.replace, Action.extend)]
    if replaced:
        listed = "\n  ".join(
            f"{run_path(one.config, one.config.stage)}: {'; '.join(one.outlook.reasons)}" for one in replaced
        )
        raise ResumeError(
            "a curriculum must be told with --yes to replace what is trained · "
            f"found {len(replaced)} to be replaced:\n  {listed}\n · put back what has changed, choose "
            "another run.name, or add --yes (the old runs are set aside, not deleted)"
        )


def tell_forecasts(forecasts: Sequence[Forecast], console: Console) -> None:
    """Prints what would be done with each stage."""
    for forecast in forecasts:
        stage, outlook = forecast.stage, forecast.outlook
        lines = heading_lines(forecast.config, outlook) if stage is None else outlook_lines(stage, outlook)
        for line in lines:
            say(console, line)
