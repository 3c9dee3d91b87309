"""Held-out data are measured when due, but not at the last step."""

from types import SimpleNamespace
from typing import Any

from phi4train.training.watching.evaluating import PeriodicEvaluation
from tests.unit.training.tiny_training import step

TRAINER: Any = SimpleNamespace(should_stop=False)


def test_evaluation_runs_when_due_but_not_at_the_last_step() -> None:
    evaluated: list[int] = []
    callback = PeriodicEvaluation(evaluated.append, every_n_steps=2, max_steps=6)
    for number in range(6):
        callback.on_train_batch_end(TRAINER, None, None, step(number=number), 0)  # type: ignore[arg-type]
    assert evaluated == [2, 4]


def test_without_a_distance_nothing_is_measured() -> None:
    evaluated: list[int] = []
    callback = PeriodicEvaluation(evaluated.append, every_n_steps=0, max_steps=6)
    for number in range(6):
        callback.on_train_batch_end(TRAINER, None, None, step(number=number), 0)  # type: ignore[arg-type]
    assert evaluated == []


def test_a_resumed_run_measures_at_the_steps_of_the_whole_one() -> None:
    evaluated: list[int] = []
    callback = PeriodicEvaluation(evaluated.append, every_n_steps=3, max_steps=10)
    for number in range(4, 10):
        callback.on_train_batch_end(TRAINER, None, None, step(number=number), 0)  # type: ignore[arg-type]
    assert evaluated == [6, 9]
