"""Sends metrics to Weights & Biases; the local metrics.jsonl stays the truth."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from phi4train.errors import ConfigError
from phi4train.training.watching import metric_keys as keys


@contextmanager
def wandb_sink(
    project: str, run_name: str, run_id: str, config: Mapping[str, Any]
) -> Iterator[Callable[[dict[str, float]], None]]:
    """A sink that logs into the run `run_id` of `project`; on leaving it is finished, or marked as failed.

    Neither argv nor code nor machine metadata is sent, since they may hold secrets.

    Raises:
        ConfigError: the package wandb is not installed.
    """
    try:
        import wandb
    except ImportError as error:
        raise ConfigError(
            "logger.wandb_project needs the package wandb · found it not installed · "
            "install it with `pip install 'wandb>=0.19'`, or set logger.wandb_project=null"
        ) from error
    run = wandb.init(
        project=project,
        name=run_name,
        id=run_id,
        resume="allow",
        config=dict(config),
        settings=wandb.Settings(disable_code=True, disable_git=True, x_disable_meta=True, console="off"),
    )
    run.define_metric("*", step_metric=keys.STEP)
    try:
        yield lambda metrics: run.log(dict(metrics))
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()
