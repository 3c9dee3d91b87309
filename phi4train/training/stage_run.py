"""What a stage does once it is composed: fits, saves, evaluates, proves and publishes."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any

import lightning as L
from rich.console import Console

from phi4train.checkpoint.artifact import Artifact, save_artifact
from phi4train.config.convert import config_to_dict
from phi4train.config.schema import MACHINE_KEYS, Resume
from phi4train.data.batches.loader import build_loader
from phi4train.errors import NonFiniteError, StageInterrupted
from phi4train.evaluation.held_out import HeldOut, one_line
from phi4train.evaluation.metrics.metric import overall_key
from phi4train.evaluation.metrics.perplexity import LOSS as EVAL_LOSS
from phi4train.evaluation.report import save_report
from phi4train.evaluation.table import report_tables
from phi4train.model.ownership import Ownership
from phi4train.plain_text import say
from phi4train.run.opened import OpenedStage
from phi4train.run.provenance import code_provenance
from phi4train.run.run_folder import append_line, read_lines
from phi4train.training.checkpointing import capture_state
from phi4train.training.fitting import fit
from phi4train.training.freezing import assert_nothing_frozen_moved, hash_frozen
from phi4train.training.module import StageModule
from phi4train.training.stopping import StopAsked, StopSignals
from phi4train.training.watching.evaluating import PeriodicEvaluation
from phi4train.training.watching.loader_clock import LoaderClock
from phi4train.training.watching.metrics import MetricSink, MetricsWriter
from phi4train.training.watching.progress import Progress
from phi4train.training.watching.progress_bar import ProgressBar
from phi4train.training.watching.sample_guard import SampleGuard
from phi4train.training.watching.saving import PeriodicSave
from phi4train.training.watching.wandb_sink import wandb_sink


@dataclass(frozen=True)
class StageRun:
    """The parts of a run that fitting, saving and evaluating share."""

    stage: OpenedStage
    console: Console
    owned: Ownership
    held_out: HeldOut | None
    module: StageModule
    progress: Progress
    frozen_before: Mapping[str, str]
    branched_from: Mapping[str, Any]
    stop: StopSignals

    def publish(self, results: Mapping[str, float]) -> Artifact:
        """Writes the artifact: the components that the stage trained or introduced."""
        config, inputs = self.stage.config, self.stage.inputs
        return save_artifact(
            self.stage.folder.artifact,
            {name: self.owned.state(name) for name in {*config.trainable, *config.init}},
            stage=config.stage,
            parents=inputs.parents,
            recipe={k: v for k, v in config_to_dict(config).items() if k not in MACHINE_KEYS},
            data_fingerprint=inputs.data_fingerprint,
            code=code_provenance(),
            results=results,
            initialised_from=inputs.initialised_from,
            branched_from=self.branched_from,
        )

    def fit(self) -> None:
        """Trains from the module's next step to the last one, and saves the state after it.

        Raises:
            StageInterrupted: a signal asked for a stop; the state is saved.
        """
        start, max_steps = self.module.next_step, self.module.schedule.max_steps
        evaluation = PeriodicEvaluation(self.evaluate, self.stage.config.evaluation.every_n_steps, max_steps)
        try:
            if evaluation.is_due(start) and not self._is_evaluated(start):  # it was cut short
                self.evaluate(start)
            self._fit(evaluation)
        except NonFiniteError as error:
            raise NonFiniteError(f"{error}; {self.stage.checkpoints.last_good()}") from error
        except StopAsked:
            pass
        if self.stop.is_asked():
            raise self._interrupted()
        assert self.module.next_step == max_steps

    def _fit(self, evaluation: PeriodicEvaluation) -> None:
        config, inputs, max_steps = self.stage.config, self.stage.inputs, self.module.schedule.max_steps
        loader = build_loader(
            inputs.data.mixture,
            inputs.data.tokenizer,
            inputs.plan,
            inputs.data.cache_dir,
            start_step=self.module.next_step,
            max_steps=max_steps,
            num_workers=config.hardware.num_workers,
            rank=self.module.ranks.rank,
            world_size=self.module.ranks.size,
        )
        clock = LoaderClock(loader)
        with ExitStack() as open_sinks:
            sinks = [open_sinks.enter_context(sink) for sink in self._sinks()]
            # The evaluation is last: however long it takes, a step that was due is saved before.
            observers = [*self._observers(clock, sinks), evaluation]
            fit(self.module, clock, config.hardware, observers, self.stage.folder.path)
            if self.module.next_step not in self.stage.checkpoints.steps():
                self.save(self.module.next_step)

    def _is_evaluated(self, step: int) -> bool:
        return any(line.get("step") == step - 1 for line in read_lines(self.stage.folder.evaluations)[0])

    def end_where_asked(self) -> None:
        """Ends the command after a stage that was published although a signal came: nothing follows it.

        Raises:
            StageInterrupted: a signal came.
        """
        if self.stop.is_asked():
            raise StageInterrupted(
                f"a command must end when a signal asks · found {self.stop.name} when "
                f"`{self.stage.config.stage}` was all but done: {self.stage.folder.artifact} is complete · "
                f"start the same command again{self._mode()} for what would follow it"
            )

    def _interrupted(self, where: str = "") -> StageInterrupted:
        kept = f"the state is saved in {self.stage.folder.checkpoints}"
        if self.module.num_bad_in_a_row:
            kept = f"the last steps were not finite and are not saved; {self.stage.checkpoints.last_good()}"
        return StageInterrupted(
            f"the stage must run for {self.module.schedule.max_steps} steps · found {self.stop.name} after "
            f"step {self.module.next_step}{where} · start the same command again{self._mode()} to go on; "
            f"{kept}"
        )

    def _mode(self) -> str:
        """What the same command needs: under another mode it would start anew, or refuse the folder."""
        asked = self.stage.config.resume
        return "" if asked is Resume.auto else f", but with resume=auto instead of resume={asked.name},"

    def save(self, step: int) -> None:
        """Publishes the state after `step` steps, but none that learned beside a frozen tensor that moved.

        While steps are not finite nothing is saved: whoever goes on does so from before them.
        """
        self.prove_nothing_frozen_moved()
        if self.module.num_bad_in_a_row:
            self.console.print(f"[yellow]no checkpoint after step {step}, which was not finite[/]")
            return
        trainable, inputs = self.stage.config.trainable, self.stage.inputs.fingerprints()
        state = capture_state(
            self.module, self.owned, trainable, self.progress, inputs, step, self.branched_from
        )
        self.stage.checkpoints.save(state)

    def prove_nothing_frozen_moved(self) -> None:
        """Compares every frozen tensor with what it was when the stage started.

        Raises:
            FrozenParameterError: one moved.
        """
        frozen_now = hash_frozen(self.owned, self.stage.config.trainable)
        assert_nothing_frozen_moved(self.frozen_before, frozen_now)

    def prove_last_steps_finite(self) -> None:
        """Refuses weights that the last steps could not learn with; one bad step may be its samples' fault.

        Raises:
            NonFiniteError: several steps at the end were not finite.
        """
        num_bad = self.module.num_bad_in_a_row
        if num_bad > 1:
            raise NonFiniteError(
                "the last steps must have a finite loss and gradient before weights are published · found "
                f"{num_bad} steps in a row at the end that do not · lower optimizer.lr, or look at their "
                f"samples with `phi4train data show`; {self.stage.checkpoints.last_good()}"
            )

    def evaluate(self, step: int) -> None:
        """Measures on a part of the held-out data, prints a line and logs it.

        Raises:
            StopAsked: a signal came; nothing is logged, so that whoever goes on measures again.
        """
        if self.held_out is not None:
            settings = self.stage.config.evaluation
            report = self.held_out.evaluate(
                self.module.model, settings.max_samples, at_boundary=self.stop.check
            )
            say(self.console, one_line(report, settings))
            append_line(self.stage.folder.evaluations, {"step": step - 1, **report.metrics()})

    def evaluate_at_end(self) -> dict[str, float]:
        """Measures on all held-out data, with baselines, and prints the tables; empty when there are none.

        Raises:
            StageInterrupted: a signal came; the state after the last step is saved, and nothing else.
            NonFiniteError: the loss is not finite.
        """
        if self.held_out is None:
            return {}
        try:
            report = self.held_out.evaluate(
                self.module.model, with_baselines=True, at_boundary=self.stop.check
            )
        except StopAsked:
            raise self._interrupted(", in the evaluation at its end") from None
        self.console.print(report_tables(report))
        metrics = report.metrics()
        losses = {key: value for key, value in metrics.items() if overall_key(key) == EVAL_LOSS}
        bad = [f"{key}={value}" for key, value in losses.items() if not math.isfinite(value)]
        if bad:
            raise NonFiniteError(
                "the loss on held-out data must be finite before the weights are published · found "
                f"{', '.join(bad)} · lower optimizer.lr; {self.stage.checkpoints.last_good()}"
            )
        save_report(report, self.stage.folder.evaluation)
        return metrics

    def _sinks(self) -> list[AbstractContextManager[MetricSink]]:
        config = self.stage.config
        project = config.logger.wandb_project
        if project is None:
            return []
        name = f"{config.stage}/{config.run.name}"
        return [wandb_sink(project, name, self.stage.folder.logger_id(), config_to_dict(config))]

    def _observers(self, clock: LoaderClock, sinks: Sequence[MetricSink]) -> list[L.Callback]:
        config, folder = self.stage.config, self.stage.folder
        limits, logger = config.data, config.logger
        max_steps, start = self.module.schedule.max_steps, self.module.next_step
        return [
            SampleGuard(folder, self.progress, limits.max_bad_fraction, limits.max_bad_in_a_row),
            MetricsWriter(folder, self.progress, clock, logger.every_n_steps, sinks),
            ProgressBar(self.console, start, max_steps, logger.every_n_steps),
            PeriodicSave(self.save, config.checkpoint.every_n_steps, self.stop),
        ]
