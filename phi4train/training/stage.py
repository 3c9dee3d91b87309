"""Runs one stage from its recipe: read `_train` from top to bottom."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path

import lightning as L
from rich.console import Console

from phi4train.checkpoint.artifact import Artifact, save_artifact
from phi4train.checkpoint.assembly import assemble_model
from phi4train.checkpoint.training_state import CheckpointFolder
from phi4train.config.convert import config_to_dict
from phi4train.config.schema import MACHINE_KEYS, Config, Resume
from phi4train.data.batches.loader import build_loader
from phi4train.errors import StageInterrupted
from phi4train.evaluation.held_out import HeldOut, one_line
from phi4train.evaluation.report import save_report
from phi4train.evaluation.table import report_tables
from phi4train.model.components import set_activation_checkpointing, state_of
from phi4train.run.inputs import StageInputs, open_inputs
from phi4train.run.paths import run_path
from phi4train.run.provenance import code_provenance
from phi4train.run.resume import _decide_start, check_inputs
from phi4train.run.run_folder import RunFolder, append_line
from phi4train.run.schedule import build_schedule
from phi4train.run.stage_data import data_plan, require_encoders
from phi4train.run.status import stage_status
from phi4train.run.torch_setup import cast_weights, prepare_torch
from phi4train.training.auxiliary import build_auxiliaries
from phi4train.training.checkpointing import capture_state, restore_state
from phi4train.training.fitting import fit
from phi4train.training.freezing import (
    assert_nothing_frozen_moved,
    freeze_all_but,
    freeze_report,
    hash_frozen,
)
from phi4train.training.module import StageModule
from phi4train.training.optimizer import AdamWSettings
from phi4train.training.report import print_budget, print_freeze_report
from phi4train.training.watching.evaluating import PeriodicEvaluation
from phi4train.training.watching.loader_clock import LoaderClock
from phi4train.training.watching.loss_plot import draw_losses
from phi4train.training.watching.metrics import MetricSink, MetricsWriter
from phi4train.training.watching.progress import Progress
from phi4train.training.watching.progress_bar import ProgressBar
from phi4train.training.watching.sample_guard import SampleGuard
from phi4train.training.watching.saving import PeriodicSave
from phi4train.training.watching.wandb_sink import wandb_sink


def train_stage(config: Config, console: Console) -> Path:
    """Trains a stage, or goes on with it; returns the folder of its artifact.

    Raises:
        Phi4TrainError: whatever the user can mend; nothing half-written is left behind.
    """
    folder = RunFolder(run_path(config, config.stage))
    with folder.locked():
        return _train(config, folder, console)


def _train(config: Config, folder: RunFolder, console: Console) -> Path:
    device = prepare_torch(config.hardware, config.seed)
    inputs = open_inputs(config)
    status = stage_status(config, folder, inputs.fingerprints())
    if status.artifact is not None and config.resume is Resume.auto:
        console.print(f"{config.stage} is done: {folder.artifact} ({status.artifact.lineage.identity[:12]})")
        return folder.artifact
    state = _decide_start(config, folder, console, status)
    if state is not None:
        check_inputs(state, inputs.fingerprints())
    auxiliaries = build_auxiliaries(config.auxiliary, inputs.data.tokenizer)
    schedule = build_schedule(config)
    print_budget(console, config, schedule)

    model, origins = assemble_model(
        config.model, inputs.parents, config.trainable, config.init, config.seed, config.data.routing.value
    )
    require_encoders(inputs.data, model.encoders)
    held_out = HeldOut(config, model.encoders) if config.evaluation.manifest is not None else None
    cast_weights(model, config.hardware.precision)
    model.to(device)  # before the optimizer exists, whose restored state goes to where the parameters are
    freeze_all_but(model, config.trainable)
    set_activation_checkpointing(model, _installed(config.hardware.activation_checkpointing, origins))
    print_freeze_report(console, freeze_report(model, origins))
    frozen_before = hash_frozen(model, config.trainable)
    module = StageModule(
        model=model,
        trainable=config.trainable,
        adamw=_adamw(config),
        schedule=schedule,
        gradient_clip_val=config.optimizer.gradient_clip_val,
        max_bad_steps=config.safety.max_bad_steps,
        start_step=state.step if state else 0,
        auxiliaries=auxiliaries,
    )
    progress = Progress.from_document(state.progress["counters"]) if state else Progress()
    if state is not None:
        restore_state(module, config.trainable, state)
    if config.resume is Resume.overwrite and folder.is_used():
        console.print(f"starting anew; the old run is set aside in {folder.set_aside()}")
    folder.rewind(module.next_step)
    folder.write_config(config_to_dict(config))

    run = _Run(config, folder, console, inputs, held_out, module, progress, frozen_before)
    if module.next_step < schedule.max_steps:
        run.fit()
    model.to(device)
    results = run.evaluate_at_end()
    model.to("cpu")
    run.prove_nothing_frozen_moved()
    artifact = run.publish(results)
    draw_losses(folder.metrics, folder.loss_plot, title=f"{config.stage} ({config.scale})")
    _print_artifact(console, artifact, len(frozen_before))
    return folder.artifact


@dataclass(frozen=True)
class _Run:
    """The parts of a run that fitting, saving and evaluating share."""

    config: Config
    folder: RunFolder
    console: Console
    inputs: StageInputs
    held_out: HeldOut | None
    module: StageModule
    progress: Progress
    frozen_before: Mapping[str, str]

    def publish(self, results: Mapping[str, float]) -> Artifact:
        """Writes the artifact: the components that the stage trained or introduced."""
        config, inputs = self.config, self.inputs
        return save_artifact(
            self.folder.artifact,
            {name: state_of(self.module.model, name) for name in {*config.trainable, *config.init}},
            stage=config.stage,
            parents=inputs.parents,
            recipe={k: v for k, v in config_to_dict(config).items() if k not in MACHINE_KEYS},
            data_fingerprint=inputs.data_fingerprint,
            code=code_provenance(),
            results=results,
            initialised_from=inputs.initialised_from,
        )

    def fit(self) -> None:
        """Trains from the module's next step to the last one, and saves the state after it.

        Raises:
            StageInterrupted: a signal asked for a stop; the state is saved.
        """
        config, data, max_steps = self.config, self.inputs.data, self.module.schedule.max_steps
        loader = build_loader(
            data.mixture,
            data.tokenizer,
            data_plan(config, data),
            data.cache_dir,
            start_step=self.module.next_step,
            max_steps=max_steps,
            num_workers=config.hardware.num_workers,
        )
        clock = LoaderClock(loader)
        saver = PeriodicSave(self.save, config.checkpoint.every_n_steps)
        with ExitStack() as open_sinks:
            observers = self._observers(clock, [open_sinks.enter_context(sink) for sink in self._sinks()])
            fit(self.module, clock, config.hardware, [*observers, saver], self.folder.path)
        if self.module.next_step not in self._checkpoints().steps():
            self.save(self.module.next_step)
        if saver.stop_signal is not None:
            raise StageInterrupted(
                f"{saver.stop_signal.name} came: the state after step {self.module.next_step} of {max_steps} "
                f"is saved in {self.folder.checkpoints}. Start the same command again to go on."
            )
        assert self.module.next_step == max_steps

    def save(self, step: int) -> None:
        """Publishes the state after `step` steps, but none that learned beside a frozen tensor that moved."""
        self.prove_nothing_frozen_moved()
        fingerprints = self.inputs.fingerprints()
        self._checkpoints().save(
            capture_state(self.module, self.config.trainable, self.progress, fingerprints, step)
        )

    def prove_nothing_frozen_moved(self) -> None:
        """Compares every frozen tensor with what it was when the stage started.

        Raises:
            FrozenParameterError: one moved.
        """
        assert_nothing_frozen_moved(self.frozen_before, hash_frozen(self.module.model, self.config.trainable))

    def evaluate(self, step: int) -> None:
        """Measures on a part of the held-out data, prints a line and logs it."""
        if self.held_out is not None:
            report = self.held_out.measure(self.module.model, self.config.evaluation.max_samples)
            self.console.print(one_line(report, self.config.evaluation))
            append_line(self.folder.evaluations, {"step": step - 1, **report.metrics()})

    def evaluate_at_end(self) -> dict[str, float]:
        """Measures on all held-out data, with baselines, and prints the tables; empty when there are none."""
        if self.held_out is None:
            return {}
        report = self.held_out.measure(self.module.model, with_baselines=True)
        self.console.print(report_tables(report))
        save_report(report, self.folder.path / "evaluation.json")
        return report.metrics()

    def _checkpoints(self) -> CheckpointFolder:
        settings = self.config.checkpoint
        return CheckpointFolder(self.folder.checkpoints, settings.keep_last_n, settings.keep_every_n)

    def _sinks(self) -> list[AbstractContextManager[MetricSink]]:
        config, project = self.config, self.config.logger.wandb_project
        if project is None:
            return []
        name = f"{config.stage}/{config.run.name}"
        return [wandb_sink(project, name, self.folder.logger_id(), config_to_dict(config))]

    def _observers(self, clock: LoaderClock, sinks: Sequence[MetricSink]) -> list[L.Callback]:
        limits, logger = self.config.data, self.config.logger
        max_steps, start = self.module.schedule.max_steps, self.module.next_step
        return [
            SampleGuard(self.folder, self.progress, limits.max_bad_fraction, limits.max_bad_in_a_row),
            MetricsWriter(self.folder, self.progress, clock, logger.every_n_steps, sinks),
            ProgressBar(self.console, start, max_steps, logger.every_n_steps),
            PeriodicEvaluation(self.evaluate, self.config.evaluation.every_n_steps, max_steps),
        ]


def _installed(components: Sequence[str], origins: dict[str, str]) -> list[str]:
    """The components that this stage's model has; hardware presets may name more."""
    return [name for name in components if name in origins]


def _adamw(config: Config) -> AdamWSettings:
    settings = config.optimizer
    return AdamWSettings(
        settings.beta1, settings.beta2, settings.eps, settings.weight_decay, settings.lr_multipliers
    )


def _print_artifact(console: Console, artifact: Artifact, num_frozen: int) -> None:
    held = ", ".join(artifact.lineage.components)
    console.print(
        f"{num_frozen} frozen tensors are bit-identical. Artifact {artifact.path} "
        f"({artifact.lineage.identity[:12]}) holds {held}."
    )
