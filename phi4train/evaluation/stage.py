"""Evaluates a stage's model on its recipe's held-out mixture: while it trains, at its end, or afterwards."""

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from phi4train.checkpoint.artifact import Artifact
from phi4train.config.schema import Config
from phi4train.errors import ConfigError
from phi4train.evaluation.held_out import open_held_out
from phi4train.evaluation.report import EvaluationReport, save_report
from phi4train.evaluation.table import report_tables
from phi4train.plain_text import say
from phi4train.run.record import RunRecord
from phi4train.run.stage_data import open_data
from phi4train.run.trained import TrainedModel, find_artifact, open_model


def evaluate_stage(
    config: Config, console: Console, artifact: Path | None = None, num_shown: int = 0
) -> Path:
    """Evaluates a finished stage, prints the tables and writes `evaluation.json` beside its artifact.

    On another manifest than the run's own, the file is `evaluation-<manifest>.json`.

    Args:
        config: the stage's recipe; its `evaluation.manifest` may be another one than in training.
        artifact: whose weights; None: those of the stage's own run.
        num_shown: how many answers to print.

    Raises:
        CheckpointError: there is no such artifact (says which command makes it), or another stage made it.
        ConfigError: the recipe names no held-out data.
    """
    if config.evaluation.manifest is None:
        raise ConfigError(
            f"evaluation.manifest must name held-out data · found none in the recipe of `{config.stage}` · "
            "add evaluation.manifest=<name>"
        )
    opened = find_artifact(config, artifact)
    trained = open_model(opened, config.hardware, Path(config.run.data_root))
    model = trained.model
    asked = as_trained(config, trained)
    training = None
    if config.evaluation.baseline_samples:
        training = open_data(asked, tokenizer=trained.tokenizer)
    held_out = open_held_out(asked, model.encoders, trained.tokenizer, training)
    say(console, f"{opened.path} ({opened.lineage.identity[:12]}) on {config.evaluation.manifest}")
    report = held_out.evaluate(model, with_baselines=True)
    console.print(report_tables(report))
    target = _report_path(opened, config.evaluation.manifest)
    save_report(report, target)
    if num_shown:
        held_out.show(model, console, num_shown)
    say(console, f"written to {target}")
    return target


def _report_path(artifact: Artifact, manifest: str) -> Path:
    """`evaluation.json` is the run's own: on the manifest that its configuration names."""
    run = artifact.path.parent
    trained_with = RunRecord(run).config or {}
    is_own = trained_with.get("evaluation", {}).get("manifest") == manifest
    return run / ("evaluation.json" if is_own else f"evaluation-{Path(manifest).stem}.json")


def as_trained(config: Config, trained: TrainedModel) -> Config:
    """A configuration with the sizes and the tokenizer that a model was trained with."""
    return replace(config, model=trained.recipe.model, tokenizer=trained.recipe.tokenizer)


def evaluate_trained(trained: TrainedModel, config: Config) -> EvaluationReport:
    """The report of a model on all held-out data that `config` names, under its limits.

    Raises:
        ManifestError: the mixture, a shard or an index is missing.
        ConfigError: it holds media that the model cannot encode.
    """
    held_out = open_held_out(as_trained(config, trained), trained.model.encoders, trained.tokenizer)
    return held_out.evaluate(trained.model)
