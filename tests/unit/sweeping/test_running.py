"""A trial that fails holds up no other, and is named at the end."""

import io
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console

from phi4train.config.schema import Config, RunPathsConfig
from phi4train.config.trials import Trial
from phi4train.errors import CheckpointError, NonFiniteError, StageInterrupted, SweepError
from phi4train.sweeping.running import run_trials


def trial(name: str, root: Path) -> Trial:
    return Trial((f"seed={name}",), Config(stage="lm", run=RunPathsConfig(root=str(root), name=name)))


class Training:
    """Trains nothing; fails where it is told to."""

    def __init__(self, root: Path, failures: dict[str, BaseException]) -> None:
        self.root = root
        self.failures = failures
        self.trained: list[str] = []
        self.out = io.StringIO()

    def __call__(self, config: Config, console: Console) -> Path:
        if config.run.name in self.failures:
            raise self.failures[config.run.name]
        self.trained.append(config.run.name)
        return self.root

    def run(self, *trials: Trial) -> None:
        run_trials(trials, Console(file=self.out, width=300), self)

    def states(self) -> list[str]:
        document = yaml.safe_load((self.root / "multirun.yaml").read_text())
        return [one["state"] for one in document["trials"]]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (CheckpointError("a · found b\n · c"), "lm/b: a · found b · c"),
        (NonFiniteError("nan"), "lm/b: nan"),
        (OSError(28, "No space left"), "lm/b: a file or folder of this command must have room · found No"),
        (torch.OutOfMemoryError("out of memory"), "lm/b: out of memory"),
    ],
)
def test_the_others_run_and_the_failed_one_is_named_with_its_cause(
    error: Exception, cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = Training(tmp_path, {"b": error})
    with pytest.raises(SweepError, match="found 1 of 3 that were not") as caught:
        training.run(*(trial(name, tmp_path) for name in "abc"))
    assert training.trained == ["a", "c"] and training.states() == ["done", "failed", "done"]
    assert cause in str(caught.value) and caught.value.exit_code == 2
    assert f"failed: {cause.partition(': ')[2]}" in training.out.getvalue()
    assert "Traceback" not in capsys.readouterr().err


def test_a_fault_of_the_program_shows_where_it_is_and_the_others_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    training = Training(tmp_path, {"a": KeyError("lost")})
    with pytest.raises(SweepError, match="lm/a: KeyError: 'lost'"):
        training.run(trial("a", tmp_path), trial("b", tmp_path))
    assert training.trained == ["b"] and "Traceback" in capsys.readouterr().err


def test_what_cannot_be_trained_is_told_before_the_first_one_trains(tmp_path: Path) -> None:
    training = Training(tmp_path, {})
    bad = Trial(("seed=x",), None, ("seed must be whole",))
    with pytest.raises(SweepError, match="found 1 of 2 that were not:\n  seed=x: seed must be whole"):
        training.run(trial("a", tmp_path), bad)
    printed = training.out.getvalue()
    assert printed.index("trial seed=x cannot be trained: seed must be whole") < printed.index("trial 1 of 2")
    assert training.trained == ["a"] and training.states() == ["done", "failed"]


def test_where_none_can_be_trained_nothing_is_written(tmp_path: Path) -> None:
    training = Training(tmp_path, {})
    with pytest.raises(SweepError, match="found 2 of 2"):
        training.run(Trial(("a=1",), None, ("x",)), Trial(("a=2",), None, ("y",)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [StageInterrupted("later"), KeyboardInterrupt()])
def test_a_signal_stops_the_whole_sweep(error: BaseException, tmp_path: Path) -> None:
    training = Training(tmp_path, {"b": error})
    with pytest.raises(type(error)):
        training.run(*(trial(name, tmp_path) for name in "abc"))
    assert training.trained == ["a"] and training.states() == ["done", "interrupted", "waiting"]


def test_a_sweep_without_failures_ends_well(tmp_path: Path) -> None:
    training = Training(tmp_path, {})
    training.run(trial("a", tmp_path), trial("b", tmp_path))
    assert "2 of 2 trials are done; " in training.out.getvalue()
