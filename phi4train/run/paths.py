"""Where the runs of a configuration are, and the commands that make them."""

import shlex
from dataclasses import replace
from pathlib import Path

from phi4train.config.schema import Config, RunPathsConfig


def run_path(config: Config, stage: str) -> Path:
    """The run folder of a stage under this run's name."""
    return Path(config.run.root) / stage / config.run.name


def artifact_path(config: Config, stage: str) -> Path:
    """Where a stage's artifact is: `run.parents.<stage>` when given, else in its run folder."""
    given = config.run.parents.get(stage) if stage != config.stage else None
    return Path(given) if given else run_path(config, stage) / "artifact"


def train_command(config: Config, stage: str) -> str:
    """The command that makes the artifact of `stage` that this run looks for, to be pasted in a shell.

    A path of another shape than `<root>/<stage>/<name>/artifact` no run writes to: then it trains beside
    this run.
    """
    run, path = config.run, artifact_path(config, stage)
    if (path.name, path.parent.parent.name) == ("artifact", stage):
        run = replace(run, root=str(path.parent.parent.parent), name=path.parent.name)
    defaults = RunPathsConfig(name=config.scale)
    given = [
        f"run.{key}={getattr(run, key)}"
        for key in ("root", "name", "data_root")
        if getattr(run, key) != getattr(defaults, key)
    ]
    own = ["--config-dir", run.config_dir] if run.config_dir is not None else []
    return shlex.join(["python", "-m", "phi4train", f"stage={stage}", f"scale={config.scale}", *given, *own])


def evaluate_command(config: Config, stage: str) -> str:
    """The command that evaluates a finished stage of this run, to be pasted in a shell."""
    return train_command(config, stage).replace("-m phi4train", "-m phi4train evaluate", 1)
