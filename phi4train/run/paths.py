"""Where the runs of a configuration are, and the commands that make them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from phi4train.checkpoint.artifact import artifact_in
from phi4train.command_lines import command_line
from phi4train.config.run_names import default_artifact
from phi4train.config.schema import Config, RunPathsConfig


def run_path(config: Config, stage: str) -> Path:
    """The run folder of a stage under this run's name."""
    return Path(config.run.root) / stage / config.run.name


def artifact_path(config: Config, stage: str) -> Path:
    """Where a stage's artifact is: its own in its run folder, a parent's as `run.parents` or its run says."""
    if stage == config.stage:
        return run_path(config, stage) / "artifact"
    given = config.run.parents.get(stage)
    return artifact_in(Path(given)) if given else default_artifact(config, stage)


def train_command(config: Config, stage: str) -> str:
    """The command that makes the artifact of `stage` that this run looks for, to be pasted in a shell.

    A path of another shape than `<root>/<stage>/<name>/artifact` no run writes to: then it trains beside
    this run.
    """
    return _command([], config, stage)


def evaluate_command(config: Config, stage: str) -> str:
    """The command that evaluates a finished stage of this run, to be pasted in a shell."""
    return _command(["evaluate"], config, stage)


def _command(verbs: Sequence[str], config: Config, stage: str) -> str:
    run, path = config.run, artifact_path(config, stage)
    if (path.name, path.parent.parent.name) == ("artifact", stage):
        run = replace(run, root=str(path.parent.parent.parent), name=path.parent.name)
    defaults = RunPathsConfig(name=config.scale)
    given = {
        f"run.{key}": str(getattr(run, key))
        for key in ("root", "name", "data_root")
        if getattr(run, key) != getattr(defaults, key)
    }
    chosen = {"stage": stage, "scale": config.scale, **given}
    return command_line(["python", "-m", "phi4train", *verbs], chosen, run.config_dir)
