"""Runs the stages of a curriculum that are missing or stale, parents first."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from phi4train.config.schema import Config, Resume
from phi4train.curriculum.forecast import (
    Forecast,
    foresee_curriculum,
    ordered_configs,
    outlook_in_curriculum,
    require_leave,
)
from phi4train.curriculum.summary import print_regressions, summary_table
from phi4train.plain_text import escaped, say
from phi4train.run.opened import open_stage
from phi4train.training.stage import tend_record, train_opened


def run_curriculum(
    stages: Sequence[str], load: Callable[[str], Config], console: Console, may_replace: bool = False
) -> list[Path]:
    """Brings every stage up to date and prints a summary; returns their artifacts in the order of training.

    Args:
        stages: names of recipes.
        load: the validated configuration of a stage.
        console: where the reasons are printed.
        may_replace: runs of other settings, data or parents are set aside and trained anew.

    Raises:
        ResumeError: something would be replaced that may not; nothing was touched.
        Phi4TrainError: a stage cannot be trained; those before it stay done.
    """
    configs = ordered_configs(stages, load)
    say(console, "curriculum: " + " → ".join(config.stage for config in configs))
    forecasts = foresee_curriculum(configs)
    if not may_replace:
        require_leave(forecasts)
    artifacts = [_bring_up_to_date(config, console, may_replace) for config in configs]
    console.print(summary_table(artifacts, console.width))
    print_regressions(artifacts, console)
    return artifacts


def _bring_up_to_date(config: Config, console: Console, may_replace: bool) -> Path:
    stage = open_stage(config)
    status = stage.status()
    if status.artifact is not None:
        identity = status.artifact.lineage.identity[:12]
        done = escaped(f"{stage.folder.artifact} ({identity})")
        console.print(f"[bold]{escaped(config.stage)}[/] is done: {done}", emoji=False)
        tend_record(stage, console)
        return stage.folder.artifact
    reasons = escaped("; ".join(status.reasons))
    console.print(f"[bold]{escaped(config.stage)}[/] runs: {reasons}", emoji=False)
    if not may_replace:  # another process may have trained it since
        require_leave([Forecast(config, outlook_in_curriculum(stage, status), stage)])
    if status.is_stale:
        stage = replace(stage, config=replace(config, resume=Resume.overwrite))
    return train_opened(stage, console)
