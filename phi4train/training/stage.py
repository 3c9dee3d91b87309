"""Runs one stage from its recipe: read `_train` from top to bottom."""

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

from rich.console import Console

from phi4train.checkpoint.artifact import Artifact
from phi4train.checkpoint.assembly import assemble_model
from phi4train.config.convert import config_to_dict
from phi4train.config.imports import import_modules
from phi4train.config.schema import Config, OptimizerConfig, Resume, StrategyKind
from phi4train.errors import ConfigError
from phi4train.evaluation.held_out import open_held_out
from phi4train.model.activation_checkpointing import set_activation_checkpointing
from phi4train.model.ownership import Ownership
from phi4train.plain_text import say
from phi4train.ranks import Ranks, join
from phi4train.run.opened import OpenedStage, open_stage
from phi4train.run.record import RunRecord
from phi4train.run.requeue import current_attempt, note_beginning, resume_mode
from phi4train.run.resume import Start, find_start
from phi4train.run.run_folder import RESULT_FILES, RunFolder
from phi4train.run.schedule import build_schedule
from phi4train.run.stage_data import require_encoders
from phi4train.run.torch_setup import cast_weights, prepare_torch, resolve_device, told_hardware, told_threads
from phi4train.run.virtual import virtual_ranks
from phi4train.training.briefing import print_budget, print_freeze_report
from phi4train.training.checkpointing import restore_state
from phi4train.training.freezing import freeze_all_but, freeze_report, hash_frozen
from phi4train.training.gradients.chosen import build_gradients
from phi4train.training.launch import is_rank, run_ranks
from phi4train.training.losses.chosen import build_losses
from phi4train.training.micro_batch import MicroBatchLoss
from phi4train.training.module import StageModule
from phi4train.training.optimizer import AdamWSettings
from phi4train.training.stage_run import StageRun
from phi4train.training.stopping import StopSignals
from phi4train.training.watching.loss_plot import draw_losses, draw_missing_losses
from phi4train.training.watching.progress import Progress


def train_stage(config: Config, console: Console) -> Path:
    """Trains a stage, or goes on with it; returns the folder of its artifact.

    Raises:
        Phi4TrainError: whatever the user can mend; nothing half-written is left behind.
    """
    return train_opened(open_stage(config), console)


def train_opened(stage: OpenedStage, console: Console) -> Path:
    """As `train_stage`, for a stage that is open already.

    Raises:
        Phi4TrainError: whatever the user can mend; nothing half-written is left behind.
    """
    hardware = stage.config.hardware
    if hardware.ranks > 1 and not is_rank():
        run_ranks(_train_as_rank, (stage.config, console.quiet), hardware.ranks)
        return stage.folder.artifact
    ranks = join(resolve_device(hardware.device), hardware.timeout_seconds)
    _check_processes(stage.config, ranks.size)
    if not ranks.is_first:
        console = Console(quiet=True)
    with stage.folder.locked() if ranks.is_first else nullcontext():
        start = ranks.from_first(lambda: _start_of(stage, console))
        if start is not None:
            _train(stage, start, ranks, console)
    return stage.folder.artifact


def _check_processes(config: Config, number: int) -> None:
    """Refuses a number of processes, mostly of a launcher such as torchrun, that was not meant.

    Raises:
        ConfigError: says which would do.
    """
    if number > 1 and config.strategy.kind is StrategyKind.single:
        raise ConfigError(
            f"strategy=single must be one process · found {number} that a launcher has started · choose "
            "strategy=ddp or deepspeed_zero2"
        )
    if config.hardware.ranks not in (1, number):
        raise ConfigError(
            f"hardware.ranks must be the number of processes where a launcher starts them · found "
            f"{config.hardware.ranks}, and {number} processes · leave it out"
        )
    if number & (number - 1):
        raise ConfigError(
            f"the number of processes must be a power of two · found {number} · start "
            f"{2 ** (number.bit_length() - 1)} or {2 ** number.bit_length()}"
        )


def _train_as_rank(config: Config, is_quiet: bool) -> None:
    """Trains a stage in a process that `run_ranks` has started."""
    import_modules(config.imports, Path(config.run.config_dir) if config.run.config_dir else None)
    train_stage(config, Console(quiet=is_quiet))


def _start_of(stage: OpenedStage, console: Console) -> Start | None:
    """Where the run starts from; None: it is done."""
    folder, status, asked = stage.folder, stage.status(), stage.config.resume
    mode = resume_mode(asked, status.is_stale, folder, current_attempt(os.environ))
    if mode is not asked:
        say(console, f"this job began the run itself: it goes on, as with resume={mode.name}")
    if status.artifact is not None and mode is Resume.auto:
        identity = status.artifact.lineage.identity[:12]
        say(console, f"{stage.config.stage} is done: {folder.artifact} ({identity})")
        tend_record(stage, console)
        return None
    start = find_start(stage, mode, status, console)
    if not start.is_new and folder.artifact.exists():
        say(console, "; ".join(status.reasons), style="yellow")
    return start


def tend_record(stage: OpenedStage, console: Console) -> None:
    """Draws the losses of a finished run that a kill has left undrawn, and tells what its files have lost."""
    record = RunRecord(stage.folder.path)
    draw_missing_losses(record, plot_title(stage.config))
    for line in record.lost:
        say(console, line, style="yellow")


def _train(stage: OpenedStage, start: Start, ranks: Ranks, console: Console) -> None:
    """Composes the stage, and trains it from where it starts."""
    config, inputs, state = stage.config, stage.inputs, start.state
    device = prepare_torch(config.hardware, config.seed, start.num_threads)
    virtual = virtual_ranks(config.hardware.virtual_ranks, ranks, state.progress if state else None)
    tokenizer = inputs.data.tokenizer
    losses = build_losses(config.objective, config.objective_settings, config.auxiliary, tokenizer)
    schedule = build_schedule(config)
    print_budget(console, config, schedule)

    model, origins = assemble_model(
        config.model, inputs.parents, config.trainable, config.init, config.seed, config.data.routing.value
    )
    require_encoders(inputs.data, model.encoders)
    held_out = None
    if config.evaluation.manifest is not None:
        held_out = open_held_out(config, model.encoders, tokenizer, training=inputs.data)
    cast_weights(model, config.hardware.precision)
    model.to(device)  # before the optimizer exists, whose restored state goes to where the parameters are
    owned = Ownership(model)
    freeze_all_but(owned, config.trainable)
    set_activation_checkpointing(model, _installed(config.hardware.activation_checkpointing, origins))
    print_freeze_report(console, freeze_report(owned, origins))
    frozen_before = hash_frozen(owned, config.trainable)
    micro_batch = MicroBatchLoss(model, losses)
    trainable, settings = owned.named_parameters(config.trainable), _adamw(config.optimizer)
    gradients = build_gradients(config.strategy, micro_batch, trainable, settings, ranks, virtual, device)
    module = StageModule(
        micro_batch=micro_batch,
        gradients=gradients,
        ranks=ranks,
        schedule=schedule,
        gradient_clip_val=config.optimizer.gradient_clip_val,
        max_bad_steps=config.safety.max_bad_steps,
        seed=config.seed,
        start_step=start.step,
    )
    progress = Progress.from_document(state.progress["counters"]) if state else Progress()
    if state is not None:
        restore_state(module, owned, config.trainable, state)
    ranks.from_first(lambda: _take_over(stage.folder, config, start, console))

    with StopSignals(ranks) as stop:
        run = StageRun(
            stage, console, owned, held_out, module, progress, frozen_before, start.branched_from, stop
        )
        if module.next_step < schedule.max_steps:
            run.fit()
        run.prove_last_steps_finite()
        with gradients.whole_model():
            model.to(device)
            results = run.evaluate_at_end()
            model.to("cpu")
            run.prove_nothing_frozen_moved()
            ranks.from_first(lambda: _publish(run, results))
        run.end_where_asked()


def _publish(run: StageRun, results: Mapping[str, float]) -> None:
    """Writes the artifact and the picture of the losses, and says so."""
    artifact = run.publish(results)
    draw_losses(RunRecord(run.stage.folder.path), plot_title(run.stage.config))
    _print_artifact(run.console, artifact, len(run.frozen_before))


def _take_over(folder: RunFolder, config: Config, start: Start, console: Console) -> None:
    """Makes a folder that of the run which is about to train; what does not belong to it is set aside."""
    if start.is_new and folder.is_used():
        say(console, f"starting anew; the old run is set aside in {folder.set_aside()}")
    elif folder.artifact.exists():
        say(console, f"its former results are set aside in {folder.set_aside(RESULT_FILES)}")
    if start.is_new:
        note_beginning(folder, current_attempt(os.environ))
    told = [told_threads(config.hardware, start.num_threads), *folder.rewind(start.steps_done)]
    if not start.is_new:
        told.append(told_hardware((folder.read_config() or {}).get("hardware", {}), config.hardware))
    for line in filter(None, told):
        say(console, line, style="yellow")
    folder.write_config(config_to_dict(config))


def plot_title(config: Config) -> str:
    """What stands above the losses of a stage."""
    return f"{config.stage} ({config.scale})"


def _installed(components: Sequence[str], origins: dict[str, str]) -> list[str]:
    """The components that this stage's model has; hardware presets may name more."""
    return [name for name in components if name in origins]


def _adamw(settings: OptimizerConfig) -> AdamWSettings:
    return AdamWSettings(
        settings.beta1, settings.beta2, settings.eps, settings.weight_decay, settings.lr_multipliers
    )


def _print_artifact(console: Console, artifact: Artifact, num_frozen: int) -> None:
    held = ", ".join(artifact.lineage.components)
    proven = f"{num_frozen:,} frozen tensors are bit-identical. " if num_frozen else ""
    say(console, f"{proven}Artifact {artifact.path} ({artifact.lineage.identity[:12]}) holds {held}.")
