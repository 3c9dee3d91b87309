"""Trains one trial after the other: one that fails is told and recorded, and the others train."""

import gc
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from rich.console import Console

from phi4train.config.schema import Config
from phi4train.config.trials import Trial
from phi4train.errors import Phi4TrainError, StageInterrupted, SweepError
from phi4train.os_errors import os_error_text
from phi4train.plain_text import say
from phi4train.run.outlook import tell_outlook
from phi4train.sweeping.record import FILE_NAME, State, SweepRecord


def run_trials(trials: Sequence[Trial], console: Console, train: Callable[[Config, Console], Path]) -> None:
    """Trains all trials that can be trained, and tells at the end which were not.

    Trials that are done already are passed over, so that the same command again goes on with the others.

    Args:
        trials: as composed; those without a configuration count as failed.
        console: where a line a trial is printed.
        train: trains one.

    Raises:
        SweepError: some trials failed; names them.
        StageInterrupted: a signal asked for a stop; its trial and those after it go on with the next command.
    """
    record = SweepRecord(_record_path(trials), trials)
    for trial, cause in record.failed():
        say(console, f"trial {trial.name} cannot be trained: {cause}", style="yellow")
    _refuse_if_none_is_left(record, trials)
    record.write()
    for number, trial in enumerate(trials):
        if trial.config is not None:
            say(console, f"\ntrial {number + 1} of {len(trials)}: {trial.name}")
            _run_trial(number, trial.config, record, console, train)
    failed = record.failed()
    say(
        console,
        f"\n{len(trials) - len(failed)} of {len(trials)} trials are done; {record.path} tells of each",
    )
    if failed:
        raise _sweep_error(failed, len(trials))


def tell_trials(trials: Sequence[Trial], console: Console) -> None:
    """Says what each trial would do, and does nothing.

    Raises:
        SweepError: some cannot be trained; names them.
    """
    failed = [(trial, "; ".join(trial.problems)) for trial in trials if trial.config is None]
    for trial in trials:
        if trial.config is not None:
            say(console, f"\ntrial {trial.name}")
            try:
                tell_outlook(trial.config, console)
            except Phi4TrainError as error:
                failed.append((trial, _in_one_line(error)))
    if failed:
        raise _sweep_error(failed, len(trials))


def _run_trial(
    number: int,
    config: Config,
    record: SweepRecord,
    console: Console,
    train: Callable[[Config, Console], Path],
) -> None:
    try:
        train(config, console)
    except (StageInterrupted, KeyboardInterrupt) as error:
        record.set(number, State.interrupted, _in_one_line(error))
        raise
    except Exception as error:
        is_users = isinstance(error, Phi4TrainError | OSError | MemoryError | torch.OutOfMemoryError)
        if not is_users:  # a fault of ours, or of a module of theirs: the next trial may do without it
            traceback.print_exc()
        cause = _in_one_line(error) if is_users else f"{type(error).__name__}: {_in_one_line(error)}"
        record.set(number, State.failed, cause)
        say(console, f"failed: {cause}", style="red")
        gc.collect()  # what the traceback held, such as a model
    else:
        record.set(number, State.done)


def _record_path(trials: Sequence[Trial]) -> Path:
    roots = [trial.config.run.root for trial in trials if trial.config is not None]
    return Path(roots[0] if roots else ".") / FILE_NAME


def _refuse_if_none_is_left(record: SweepRecord, trials: Sequence[Trial]) -> None:
    failed = record.failed()
    if len(failed) == len(trials):
        raise _sweep_error(failed, len(trials))


def _in_one_line(error: BaseException) -> str:
    text = os_error_text(error) if isinstance(error, OSError) else str(error)
    return " ".join(text.split()) or type(error).__name__


def _sweep_error(failed: Sequence[tuple[Trial, str]], number: int) -> SweepError:
    listed = "\n  ".join(f"{trial.name}: {cause}" for trial, cause in failed)
    return SweepError(
        f"every trial of a sweep must be trained · found {len(failed)} of {number} that were not:\n  {listed}"
        "\n · mend what they tell and start the same command again with resume=auto, the default: what is "
        "done is passed over"
    )
