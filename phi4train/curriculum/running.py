"""Runs the stages of a curriculum that are missing or stale, parents first."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from phi4train.config.schema import Config, Resume
from phi4train.curriculum.graph import order_stages
from phi4train.curriculum.summary import print_regressions, summary_table
from phi4train.plain_text import escaped, say
from phi4train.run.opened import open_stage
from phi4train.training.stage import tend_record, train_opened


def run_curriculum(stages: Sequence[str], load: Callable[[str], Config], console: Console) -> list[Path]:
    """Brings every stage up to date and prints a summary; returns their artifacts in the order of training.

    Args:
        stages: names of recipes.
        load: the validated configuration of a stage.
        console: where the reasons are printed.

    Raises:
        Phi4TrainError: a stage cannot be trained; those before it stay done.
    """
    configs = {stage: load(stage) for stage in stages}
    order = order_stages(stages, {stage: configs[stage].parents for stage in stages})
    say(console, "curriculum: " + " → ".join(order))
    artifacts = [_bring_up_to_date(configs[stage], console) for stage in order]
    console.print(summary_table(artifacts))
    print_regressions(artifacts, console)
    return artifacts


def _bring_up_to_date(config: Config, console: Console) -> Path:
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
    if status.is_stale:
        stage = replace(stage, config=replace(config, resume=Resume.overwrite))
    return train_opened(stage, console)
