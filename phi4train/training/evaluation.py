"""Evaluates a stage's model on its recipe's held-out mixture: while it trains, at its end, or afterwards."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from phi4train.checkpoint.artifact import Artifact, open_artifact
from phi4train.checkpoint.assembly import assemble_model
from phi4train.config.schema import Config, EvaluationConfig
from phi4train.errors import CheckpointError, ConfigError
from phi4train.evaluation.bleu import mean_score
from phi4train.evaluation.error_rate import Unit
from phi4train.evaluation.perplexity import ALL_TASKS
from phi4train.evaluation.report import EvaluationReport, save_report
from phi4train.evaluation.run import EvaluationData, collect_answers, evaluate, fit_baselines
from phi4train.evaluation.show import show_answers
from phi4train.evaluation.table import report_tables
from phi4train.model.phi4 import Phi4Model
from phi4train.training.inputs import StageData, artifact_path, open_data, require_encoders, train_command
from phi4train.training.run_folder import RunFolder
from phi4train.training.torch_setup import autocast, cast_weights, prepare_torch


class HeldOut:
    """The held-out data of a recipe, opened once and measured as often as asked.

    Args:
        config: a recipe that names `evaluation.manifest`.
        encoders: modalities that the model encodes.

    Raises:
        ManifestError: the mixture, a shard or an index is missing.
        ConfigError: it holds media that the model cannot encode.
    """

    def __init__(self, config: Config, encoders: Iterable[str]) -> None:
        self._config = config
        data = open_data(config, config.evaluation.manifest)
        require_encoders(data, encoders)
        self._data = self._as_evaluated(data)

    def measure(
        self, model: Phi4Model, max_samples: int = 0, with_baselines: bool = False
    ) -> EvaluationReport:
        """Perplexity, and the metric of the task where samples have answers.

        Args:
            max_samples: of each source; 0: all.
            with_baselines: also score unigram and bigram models of the training mixture, when
                `evaluation.baseline_samples` asks for them.
        """
        settings = self._config.evaluation
        ngrams = None
        if with_baselines and settings.baseline_samples:
            training = self._as_evaluated(open_data(self._config), settings.baseline_samples)
            ngrams = fit_baselines(training)
        with self._autocast(model):
            return evaluate(model, self._limited(max_samples), settings.max_new_tokens, ngrams)

    def show(self, model: Phi4Model, console: Console, num_answers: int) -> None:
        """Prints `num_answers` answers, spread over the held-out sources and tasks."""
        held_out = self._limited(0)  # a shard may hold its tasks one after the other
        with self._autocast(model):
            answers = collect_answers(model, held_out, self._config.evaluation.max_new_tokens)
        tasks: dict[str, list[int]] = {}
        for position, answer in enumerate(answers):
            tasks.setdefault(answer.sample.task, []).append(position)
        rounds = sorted(
            (rank, position) for members in tasks.values() for rank, position in enumerate(members)
        )
        show_answers([answers[position] for _, position in rounds[:num_answers]], console)

    def _limited(self, max_samples: int) -> EvaluationData:
        return replace(self._data, max_samples=max_samples or None)

    def _autocast(self, model: Phi4Model) -> AbstractContextManager[None]:
        return autocast(self._config.hardware.precision, model.head_weight.device)

    def _as_evaluated(self, data: StageData, max_samples: int | None = None) -> EvaluationData:
        return EvaluationData(
            data.mixture,
            data.tokenizer,
            data.limits,
            data.cache_dir,
            self._config.hardware.micro_batch_tokens,
            max_samples,
        )


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
            f"evaluating needs held-out data: the recipe of `{config.stage}` names none; "
            "add evaluation.manifest=<name>."
        )
    trained = open_trained(config, artifact)
    opened, model = trained.artifact, trained.model
    held_out = HeldOut(config, model.encoders)
    console.print(f"{opened.path} ({opened.lineage.identity[:12]}) on {config.evaluation.manifest}")
    report = held_out.measure(model, with_baselines=True)
    console.print(report_tables(report))
    target = _report_path(opened, config.evaluation.manifest)
    save_report(report, target)
    if num_shown:
        held_out.show(model, console, num_shown)
    console.print(f"written to {target}")
    return target


@dataclass(frozen=True)
class TrainedStage:
    """A finished stage's model, with the weights of its artifact and its ancestors, ready to be measured."""

    artifact: Artifact
    model: Phi4Model

    def measure(self, config: Config) -> EvaluationReport:
        """The report on all held-out data that `config` names, under its limits.

        Raises:
            ManifestError: the mixture, a shard or an index is missing.
            ConfigError: it holds media that the model cannot encode.
        """
        return HeldOut(config, self.model.encoders).measure(self.model)


def open_trained(config: Config, artifact: Path | None = None) -> TrainedStage:
    """The model of a finished stage, on the recipe's device and in its precision.

    Args:
        artifact: whose weights; None: those of the stage's own run.

    Raises:
        CheckpointError: there is no such artifact (says which command makes it), or another stage made it.
    """
    device = prepare_torch(config.hardware, config.seed)
    opened = _open_own(config, artifact)
    model, _ = assemble_model(config.model, {opened.lineage.stage: opened}, routing=config.data.routing.value)
    cast_weights(model, config.hardware.precision)
    model.to(device)
    return TrainedStage(opened, model)


def evaluate_command(config: Config, stage: str) -> str:
    """The command that evaluates a finished stage of this run, to be pasted in a shell."""
    return train_command(config, stage).replace("-m phi4train", "-m phi4train evaluate", 1)


def _open_own(config: Config, artifact: Path | None) -> Artifact:
    path = artifact or artifact_path(config, config.stage)
    if not path.is_dir():
        raise CheckpointError(
            f"evaluating `{config.stage}` needs its artifact: {path} does not exist. "
            f"Make it with `{train_command(config, config.stage)}`, or name another one with --artifact."
        )
    opened = open_artifact(path, needed_by=f"the evaluation of `{config.stage}`")
    if opened.lineage.stage != config.stage:
        raise CheckpointError(
            f"evaluating `{config.stage}` needs an artifact of that stage: {path} is one of "
            f"`{opened.lineage.stage}`. Say stage={opened.lineage.stage}, or name another --artifact."
        )
    return opened


def _report_path(artifact: Artifact, manifest: str) -> Path:
    """`evaluation.json` is the run's own: on the manifest that its configuration names."""
    run = artifact.path.parent
    trained_with = RunFolder(run).read_config() or {}
    is_own = trained_with.get("evaluation", {}).get("manifest") == manifest
    return run / ("evaluation.json" if is_own else f"evaluation-{Path(manifest).stem}.json")


def one_line(report: EvaluationReport, settings: EvaluationConfig) -> str:
    """The overall results of a report in a line, for the terminal while training."""
    parts = [f"held-out perplexity {p.perplexity():.2f}" for p in report.perplexities[-1:]]
    parts += [f"exact match {100 * a.fraction:.1f} %" for a in report.accuracies[-1:]]
    parts += [
        f"{'word' if r.unit is Unit.words else 'character'} error rate {100 * r.rate:.1f} %"
        for r in report.error_rates
        if r.task == ALL_TASKS
    ]
    if report.bleus:
        parts.append(f"BLEU {mean_score(report.bleus):.1f}")
    return f"{settings.manifest}: " + ", ".join(parts)
