"""Held-out data are measured when due, but not at the last step."""

from types import SimpleNamespace
from typing import Any

from phi4train.training.stopping import StopAsked
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


def test_an_evaluation_that_is_cut_short_ends_the_run_after_its_step() -> None:
    def cut_short(step: int) -> None:
        raise StopAsked

    trainer: Any = SimpleNamespace(should_stop=False)
    callback = PeriodicEvaluation(cut_short, every_n_steps=2, max_steps=6)
    callback.on_train_batch_end(trainer, None, None, step(number=0), 0)  # type: ignore[arg-type]
    assert not trainer.should_stop
    callback.on_train_batch_end(trainer, None, None, step(number=1), 0)  # type: ignore[arg-type]
    assert trainer.should_stop


def test_a_run_that_is_about_to_end_measures_nothing_any_more() -> None:
    evaluated: list[int] = []
    trainer: Any = SimpleNamespace(should_stop=True)
    callback = PeriodicEvaluation(evaluated.append, every_n_steps=2, max_steps=6)
    callback.on_train_batch_end(trainer, None, None, step(number=1), 0)  # type: ignore[arg-type]
    assert evaluated == []


def test_nothing_is_due_before_the_first_step_nor_after_the_last() -> None:
    callback = PeriodicEvaluation(lambda step: None, every_n_steps=2, max_steps=6)
    assert [steps for steps in range(8) if callback.is_due(steps)] == [2, 4]
