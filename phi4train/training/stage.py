"""Runs one stage from its recipe: read `_train` from top to bottom."""

import os
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from rich.console import Console

from phi4train.checkpoint.artifact import Artifact
from phi4train.checkpoint.assembly import assemble_model
from phi4train.checkpoint.training_state import load_training_state
from phi4train.config.convert import config_to_dict
from phi4train.config.imports import import_modules
from phi4train.config.schema import Config, OptimizerConfig, Resume
from phi4train.evaluation.held_out import open_held_out
from phi4train.model.activation_checkpointing import set_activation_checkpointing
from phi4train.model.ownership import Ownership
from phi4train.plain_text import say
from phi4train.ranks import Ranks, join
from phi4train.run.opened import OpenedStage, open_stage
from phi4train.run.record import RunRecord
from phi4train.run.requeue import current_attempt, note_beginning, resume_mode
from phi4train.run.resume import checkpoint_to_go_on_from
from phi4train.run.schedule import build_schedule
from phi4train.run.stage_data import require_encoders
from phi4train.run.torch_setup import cast_weights, prepare_torch
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
    device = prepare_torch(hardware, stage.config.seed)
    ranks = join(device, hardware.timeout_seconds)
    if not ranks.is_first:
        console = Console(quiet=True)
    with stage.folder.locked() if ranks.is_first else nullcontext():
        start = ranks.from_first(lambda: _starting_point(stage, console))
        if start != stage.folder.artifact:
            _train(stage, start, device, ranks, console)
    return stage.folder.artifact


def _train_as_rank(config: Config, is_quiet: bool) -> None:
    """Trains a stage in a process that `run_ranks` has started."""
    import_modules(config.imports, Path(config.run.config_dir) if config.run.config_dir else None)
    train_stage(config, Console(quiet=is_quiet))


def _starting_point(stage: OpenedStage, console: Console) -> Path | None:
    """The checkpoint to go on from; None: there is none; the artifact: there is nothing left to do."""
    folder = stage.folder
    status = stage.status()
    done, asked = status.artifact, stage.config.resume
    mode = resume_mode(asked, status.is_stale, folder, current_attempt(os.environ))
    if mode is not asked:
        say(console, f"this job began the run itself: it goes on, as with resume={mode.name}")
    if done is not None and mode is Resume.auto:
        say(console, f"{stage.config.stage} is done: {folder.artifact} ({done.lineage.identity[:12]})")
        draw_missing_losses(RunRecord(folder.path), plot_title(stage.config))
        return folder.artifact
    return checkpoint_to_go_on_from(stage, mode, status, console)


def _train(
    stage: OpenedStage, start: Path | None, device: torch.device, ranks: Ranks, console: Console
) -> None:
    """Composes the stage, and trains it from `start`, or anew in place of what the folder holds."""
    config, inputs = stage.config, stage.inputs
    state = load_training_state(start) if start is not None else None
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
        start_step=state.step if state else 0,
    )
    progress = Progress.from_document(state.progress["counters"]) if state else Progress()
    if state is not None:
        restore_state(module, config.trainable, state)
    ranks.from_first(lambda: _prepare_folder(stage, module.next_step, console))

    with StopSignals(ranks) as stop:
        run = StageRun(stage, console, owned, held_out, module, progress, frozen_before, stop)
        if module.next_step < schedule.max_steps:
            run.fit()
        run.prove_last_steps_finite()
        model.to(device)
        results = run.evaluate_at_end()
        model.to("cpu")
        run.prove_nothing_frozen_moved()
        ranks.from_first(lambda: _publish(run, results))
        run.end_where_asked()


def _prepare_folder(stage: OpenedStage, step: int, console: Console) -> None:
    """Makes the run folder that of a run after `step` steps."""
    folder = stage.folder
    if step == 0:
        if folder.is_used():
            say(console, f"starting anew; the old run is set aside in {folder.set_aside()}")
        note_beginning(folder, current_attempt(os.environ))
    for line in folder.rewind(step):
        say(console, line, style="yellow")
    folder.write_config(config_to_dict(stage.config))


def _publish(run: StageRun, results: Mapping[str, float]) -> None:
    """Writes the artifact and the picture of the losses, and says so."""
    artifact, folder = run.publish(results), run.stage.folder
    draw_losses(RunRecord(folder.path).steps, folder.loss_plot, plot_title(run.stage.config))
    _print_artifact(run.console, artifact, len(run.frozen_before))


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
    say(
        console,
        f"{num_frozen} frozen tensors are bit-identical. Artifact {artifact.path} "
        f"({artifact.lineage.identity[:12]}) holds {held}.",
    )
