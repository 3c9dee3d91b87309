"""`<run.root>/multirun.yaml`: the trials of the last sweep and what became of each."""

from collections.abc import Sequence
from enum import Enum
from pathlib import Path

import yaml

from phi4train.config.trials import Trial
from phi4train.files import write_atomically

FILE_NAME = "multirun.yaml"


class State(Enum):
    """How far a trial has come."""

    waiting = "waiting"
    done = "done"
    failed = "failed"
    interrupted = "interrupted"


class SweepRecord:
    """The states of trials, in memory and on disk; the file is whole after every change.

    Args:
        path: the file.
        trials: in the order in which they train.
    """

    def __init__(self, path: Path, trials: Sequence[Trial]) -> None:
        self.path = path
        self._trials = trials
        self._states = [State.failed if trial.config is None else State.waiting for trial in trials]
        self._causes = [" ".join("; ".join(trial.problems).split()) for trial in trials]

    def set(self, number: int, state: State, cause: str = "") -> None:
        """Notes what became of a trial, and writes the file."""
        self._states[number] = state
        self._causes[number] = cause
        self.write()

    def failed(self) -> list[tuple[Trial, str]]:
        """The trials that failed so far, each with its cause in a line."""
        return [
            (trial, cause)
            for trial, state, cause in zip(self._trials, self._states, self._causes, strict=True)
            if state is State.failed
        ]

    def write(self) -> None:
        """Writes the file, atomically."""
        trials = [
            {"trial": trial.name, "settings": list(trial.settings), "state": state.name}
            | ({"cause": cause} if cause else {})
            for trial, state, cause in zip(self._trials, self._states, self._causes, strict=True)
        ]
        text = yaml.safe_dump({"trials": trials}, sort_keys=False, allow_unicode=True, width=10_000)
        write_atomically(self.path, text.encode())
