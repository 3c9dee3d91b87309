"""Sends metrics to Weights & Biases; the local metrics.jsonl stays the truth."""

from collections.abc import Callable, Mapping
from typing import Any

from phi4train.errors import ConfigError
from phi4train.training import metric_keys as keys


def open_wandb(project: str, run_name: str, config: Mapping[str, Any]) -> Callable[[dict[str, float]], None]:
    """A sink that logs into the run `run_name` of `project`, and goes on with it after a resume.

    Neither argv nor code nor machine metadata is sent, since they may hold secrets.

    Raises:
        ConfigError: the package wandb is not installed.
    """
    try:
        import wandb
    except ImportError as error:
        raise ConfigError(
            "logger.wandb_project needs the package wandb, which is not installed. "
            "Install it with `pip install 'phi4train[wandb]'`."
        ) from error
    run = wandb.init(
        project=project,
        name=run_name,
        id=run_name.replace("/", "-"),
        resume="allow",
        config=dict(config),
        settings=wandb.Settings(disable_code=True, disable_git=True, x_disable_meta=True, console="off"),
    )
    run.define_metric("*", step_metric=keys.STEP)
    return lambda metrics: run.log(dict(metrics))
