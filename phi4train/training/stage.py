"""Runs one stage from its recipe: read `_train` from top to bottom."""

import math
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import lightning as L
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from rich.console import Console

from phi4train.checkpoint.artifact import Artifact, save_artifact
from phi4train.checkpoint.assembly import assemble_model
from phi4train.checkpoint.training_state import CheckpointFolder, TrainingState, load_training_state
from phi4train.config.convert import config_to_dict
from phi4train.config.schema import MACHINE_KEYS, Config, HardwareConfig, Precision, Resume
from phi4train.data.loader import build_loader
from phi4train.errors import CheckpointError, ResumeError, StageInterrupted
from phi4train.evaluation.report import save_report
from phi4train.evaluation.table import report_tables
from phi4train.model.components import set_activation_checkpointing, state_of
from phi4train.training import callbacks
from phi4train.training.auxiliary import build_auxiliaries
from phi4train.training.checkpointing import capture_state, check_inputs, restore_state
from phi4train.training.evaluation import HeldOut, one_line
from phi4train.training.freezing import (
    assert_nothing_frozen_moved,
    freeze_all_but,
    freeze_report,
    hash_frozen,
)
from phi4train.training.inputs import (
    StageInputs,
    data_plan,
    open_inputs,
    require_encoders,
    run_path,
)
from phi4train.training.loader_clock import LoaderClock
from phi4train.training.loss_plot import draw_losses
from phi4train.training.module import StageModule
from phi4train.training.optimizer import AdamWSettings
from phi4train.training.progress import Progress
from phi4train.training.provenance import code_provenance
from phi4train.training.report import print_budget, print_freeze_report, token_budget
from phi4train.training.run_folder import RunFolder, append_line
from phi4train.training.schedule import Schedule, lr_law
from phi4train.training.status import StageStatus, stage_status
from phi4train.training.torch_setup import cast_weights, prepare_torch, resolve_device
from phi4train.training.wandb_sink import wandb_sink

LIGHTNING_PRECISION: dict[Precision, Literal["32-true", "bf16-mixed"]] = {
    Precision.fp32: "32-true",
    Precision.bf16_mixed: "bf16-mixed",
    Precision.bf16_true: "32-true",  # the weights are cast here: Lightning would write to the StepBatch
}


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
        saver = callbacks.PeriodicSave(self.save, config.checkpoint.every_n_steps)
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

    def _sinks(self) -> list[AbstractContextManager[callbacks.MetricSink]]:
        config, project = self.config, self.config.logger.wandb_project
        if project is None:
            return []
        name = f"{config.stage}/{config.run.name}"
        return [wandb_sink(project, name, self.folder.logger_id(), config_to_dict(config))]

    def _observers(self, clock: LoaderClock, sinks: Sequence[callbacks.MetricSink]) -> list[L.Callback]:
        limits, logger = self.config.data, self.config.logger
        max_steps, start = self.module.schedule.max_steps, self.module.next_step
        return [
            callbacks.SampleGuard(
                self.folder, self.progress, limits.max_bad_fraction, limits.max_bad_in_a_row
            ),
            callbacks.MetricsWriter(self.folder, self.progress, clock, logger.every_n_steps, sinks),
            callbacks.ProgressBar(self.console, start, max_steps, logger.every_n_steps),
            callbacks.PeriodicEvaluation(self.evaluate, self.config.evaluation.every_n_steps, max_steps),
        ]


def fit(
    module: StageModule,
    batches: LoaderClock,
    hardware: HardwareConfig,
    observers: Sequence[L.Callback],
    folder: Path,
) -> None:
    """Lets Lightning run one optimizer step per StepBatch until the batches end.

    Raises:
        KeyboardInterrupt: Ctrl-C stopped it at once; Lightning itself would end the process with status 1.
    """
    trainer = L.Trainer(
        accelerator="gpu" if resolve_device(hardware.device).type == "cuda" else "cpu",
        devices=1,
        precision=LIGHTNING_PRECISION[hardware.precision],
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=list(observers),
        plugins=[LightningEnvironment()],
        default_root_dir=folder,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*module.* in eval mode.*")  # frozen parts belong there
        warnings.filterwarnings(
            "ignore", message=".*LeafSpec.* is deprecated"
        )  # Lightning's own use of torch
        try:
            trainer.fit(module, train_dataloaders=batches)
        except SystemExit as exit_of_lightning:
            raise KeyboardInterrupt from exit_of_lightning


def build_schedule(config: Config) -> Schedule:
    """The learning rate by step; LR*(D) gives its peak when the recipe names the law."""
    budget, optimizer, schedule = config.budget, config.optimizer, config.schedule
    max_steps = budget.max_steps
    if max_steps is None:
        assert budget.tokens is not None and budget.global_batch_tokens is not None
        max_steps = math.ceil(budget.tokens / budget.global_batch_tokens)
    peak_lr = optimizer.lr
    if optimizer.lr_law is not None:
        law = optimizer.lr_law
        peak_lr = lr_law(law.B, law.exponent, token_budget(config), law.unit_tokens)
    assert peak_lr is not None
    return Schedule(
        peak_lr=peak_lr,
        max_steps=max_steps,
        kind=schedule.kind,
        warmup_steps=schedule.warmup_steps or round(schedule.warmup_fraction * max_steps),
        decay_fraction=schedule.decay_fraction,
        min_lr_fraction=schedule.min_lr_fraction,
    )


def _decide_start(
    config: Config, folder: RunFolder, console: Console, status: StageStatus
) -> TrainingState | None:
    """The state to go on from; None: start anew. See `config.schema.Resume`."""
    if not folder.is_used() or config.resume is Resume.overwrite:
        return None
    if config.resume is Resume.never:
        raise ResumeError(
            f"with resume=never the run folder must be unused: {folder.path} holds an earlier run. "
            "Choose another run.name, or resume=auto to go on, or resume=overwrite to set it aside."
        )
    if status.is_damaged:
        raise CheckpointError(
            f"{status.reasons[0]} Or start anew with resume=overwrite "
            "(the old run is set aside, not deleted)."
        )
    if status.is_stale:
        listed = "\n  ".join(status.reasons)
        raise ResumeError(
            f"a run goes on only with the settings it started with; in {folder.path} they differ:\n"
            f"  {listed}\n"
            "Put them back, choose another run.name, or start anew with resume=overwrite "
            "(the old run is set aside, not deleted)."
        )
    checkpoints = CheckpointFolder(folder.checkpoints, config.checkpoint.keep_last_n, 0)
    newest, passed_over = checkpoints.newest_complete()
    for line in passed_over:
        console.print(f"[yellow]{line}[/]")
    if newest is None:
        return None
    console.print(f"resuming from {newest}")
    return load_training_state(newest)


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
