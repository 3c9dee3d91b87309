"""Names for the runs of a multirun, so that each trial has a folder of its own."""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

from phi4train.config.run_names import run_name_problems
from phi4train.config.schema import Config
from phi4train.errors import ConfigError

_NAMED_ELSEWHERE = ("stage", "run.name")
"""Swept keys that tell run folders apart already."""


def name_trial(config: Config, overrides: Sequence[str], swept_keys: Collection[str]) -> Config:
    """The configuration with the swept settings in its run name: `demo-optimizer.lr-0.001-seed-1`.

    The name can be typed as it is, `run.name=...`, to evaluate a trial or to build on it.

    Parents stay those of the run name without the settings: all trials start from the same artifacts.

    Raises:
        ConfigError: the name is too long for a folder.
    """
    keys = [key for key in swept_keys if key not in _NAMED_ELSEWHERE]
    settings = [text.lstrip("+") for text in overrides if text.lstrip("+").split("=")[0] in keys]
    if not settings:
        return config
    run = config.run
    parents = {stage: f"{run.root}/{stage}/{run.name}/artifact" for stage in config.parents}
    name = re.sub(r"[^\w.+-]", "-", "-".join([run.name, *sorted(settings)]))
    problems = list(run_name_problems(name))
    if problems:
        raise ConfigError(problems)
    return replace(config, run=replace(run, name=name, parents=parents | run.parents))


def require_distinct_runs(configs: Sequence[Config]) -> None:
    """Refuses trials that would train in one folder.

    Raises:
        ConfigError: names them.
    """
    names = [f"{config.stage}/{config.run.name}" for config in configs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(
            f"each trial must have a run folder of its own · found twice: {', '.join(twice)} · "
            "remove one of each two, or train it alone under another run.name"
        )
