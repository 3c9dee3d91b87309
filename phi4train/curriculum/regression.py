"""By how much a stage moved what the stages before it had measured.

Each ancestor's held-out data is measured once more with the stage's model, within the ancestor's own limits,
and set beside the ancestor's evaluation.json. What is frozen must not move: text alone, after stages that
only train encoders, projectors and adapters.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from phi4train.checkpoint.artifact import Artifact
from phi4train.config.convert import read_config
from phi4train.config.imports import import_modules
from phi4train.config.schema import Config
from phi4train.curriculum.regression_report import (
    AncestorChanges,
    MetricChange,
    Regression,
    regression_parts,
    save_regression,
)
from phi4train.errors import CheckpointError, ConfigError, ManifestError, quoted
from phi4train.evaluation.metrics.metric import SKIPPED_SAMPLES, overall_key
from phi4train.evaluation.metrics.perplexity import LOSS, PERPLEXITY
from phi4train.evaluation.metrics.registry import quantity_of
from phi4train.evaluation.report import EvaluationReport
from phi4train.evaluation.stage import evaluate_trained
from phi4train.plain_text import say
from phi4train.run.paths import evaluate_command
from phi4train.run.record import RunRecord
from phi4train.run.trained import TrainedModel, find_artifact, open_model

_DECIDING_SECTIONS = ("stage", "tokenizer", "data", "evaluation", "hardware")
"""Parts of an ancestor's configuration that decide what it is measured on."""


def measure_regression(config: Config, console: Console, artifact: Path | None = None) -> Path:
    """Compares a finished stage with its ancestors; prints the table and writes `regression.json`.

    An ancestor that cannot be compared has a line that says why.

    Args:
        config: the stage's recipe.
        artifact: whose weights; None: those of the stage's own run.

    Returns:
        The file beside the artifact.

    Raises:
        CheckpointError: there is no such artifact, or another stage made it.
    """
    stage = open_model(find_artifact(config, artifact), config.hardware, Path(config.run.data_root))
    found = tuple(_compared(stage, config, ancestor) for ancestor in ancestors_of(stage.artifact))
    regression = Regression(config.stage, stage.artifact.lineage.identity, found)
    console.print(*regression_parts(regression), sep="\n")
    target = save_regression(regression, stage.artifact.path.parent)
    say(console, f"written to {target}")
    return target


@dataclass(frozen=True)
class MissingAncestor:
    """An ancestor whose artifact is gone: nothing is known of it or of those before it."""

    stage: str
    reason: str


def ancestors_of(artifact: Artifact) -> Iterator[Artifact | MissingAncestor]:
    """Every ancestor once, parents before their children."""
    yield from _walk(artifact, set())


def _walk(artifact: Artifact, seen: set[str]) -> Iterator[Artifact | MissingAncestor]:
    for stage, identity in artifact.lineage.parents.items():
        if identity in seen:
            continue
        seen.add(identity)
        try:
            parent = artifact.parent(stage)
        except CheckpointError as error:
            yield MissingAncestor(stage, str(error))
            continue
        yield from _walk(parent, seen)
        yield parent


@dataclass(frozen=True)
class _Baseline:
    """What an ancestor measured.

    Args:
        config: of its run.
        report: its evaluation.json.
    """

    config: Config
    report: Mapping[str, Any]


class _NotComparable(Exception):
    """An ancestor cannot be compared; says why."""


def _compared(stage: TrainedModel, config: Config, ancestor: Artifact | MissingAncestor) -> AncestorChanges:
    if isinstance(ancestor, MissingAncestor):
        return AncestorChanges(ancestor.stage, None, (), (f"its artifact is missing: {ancestor.reason}",))
    name, manifest = ancestor.lineage.stage, None
    try:
        before = _read_baseline(ancestor, config)
        manifest = before.config.evaluation.manifest
        report = evaluate_trained(stage, _as_measured_then(before.config, config))
    except (_NotComparable, CheckpointError, ConfigError, ManifestError) as error:
        return AncestorChanges(name, manifest, (), (f"skipped: {error}",))
    changes = tuple(_changes(before.report["metrics"], report.metrics()))
    return AncestorChanges(name, manifest, changes, tuple(_caveats(before, report, config)))


def _read_baseline(ancestor: Artifact, config: Config) -> _Baseline:
    record = RunRecord.of_artifact(ancestor.path)
    folder = record.folder
    if record.config is None:
        raise _NotComparable(
            f"{folder.config} must say what it was measured on · found no such file · put it back"
        )
    own, unread = read_config(record.config)
    problems = [problem for key, problem in unread.items() if key.split(".")[0] in _DECIDING_SECTIONS]
    if problems:
        raise _NotComparable(
            f"{folder.config} must be of this version of phi4train · found "
            f"{'; '.join(map(quoted, problems))} · compare it with the version that wrote it"
        )
    _import_what_can_be(own.imports, config.run.config_dir)
    if own.evaluation.manifest is None:
        raise _NotComparable(
            f"evaluation.manifest must name held-out data · found none in {folder.config} · "
            "measure this stage by itself, with held-out data of your choice"
        )
    again = f"write it with `{evaluate_command(config, own.stage)}`"
    report = record.evaluation
    if report is None:
        raise _NotComparable(f"the stage must have been measured · found no {folder.evaluation} · {again}")
    if "metrics" not in report:
        raise _NotComparable(
            f"{folder.evaluation} must hold metrics · found none, as an earlier version wrote it · {again}"
        )
    return _Baseline(own, report)


def _import_what_can_be(modules: Sequence[str], config_dir: str | None) -> None:
    """Imports the modules of an ancestor, which may register metrics; a caveat tells of what is not known."""
    for module in modules:
        with suppress(ConfigError):
            import_modules([module], None if config_dir is None else Path(config_dir))


def _as_measured_then(own: Config, config: Config) -> Config:
    """The ancestor's data, limits and batch size, on the stage's paths and machine.

    The size of batches is the ancestor's, so that not even the order of additions differs.
    """
    hardware = replace(config.hardware, micro_batch_tokens=own.hardware.micro_batch_tokens)
    return replace(own, run=config.run, hardware=hardware)


def _changes(before: Mapping[str, float], after: Mapping[str, float]) -> Iterator[MetricChange]:
    """Every metric of the model that both have; the loss says no more than the perplexity."""
    for key, value in before.items():
        quantity = quantity_of(key)
        is_models = quantity is not None and quantity.is_lower_better is not None
        if is_models and key != LOSS and key in after:
            yield MetricChange(key, value, after[key])


def _caveats(before: _Baseline, report: EvaluationReport, config: Config) -> Iterator[str]:
    """Why numbers may differ although the model does not."""
    then, now = before.config.hardware.precision, config.hardware.precision
    if then is not now:
        yield f"measured in {then.name} then, in {now.name} now."
    num_then = sum(result["num_targets"] for result in before.report["perplexity"][-1:])
    num_now = sum(result.num_targets for result in report.results_of(PERPLEXITY)[-1:])
    if num_then != num_now:
        yield f"measured on {num_then:,} targets then, on {num_now:,} now: the data or a limit has changed."
    measured = before.report["metrics"].keys() - {SKIPPED_SAMPLES}
    unknown = sorted({overall_key(key) for key in measured if quantity_of(key) is None})
    if unknown:
        yield (
            f"{', '.join(unknown)} measured then, by a metric that is not known now; "
            "add to imports what that stage's recipe imports."
        )
