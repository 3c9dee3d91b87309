"""The state is saved when it is due and when a signal asks."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from phi4train.errors import CheckpointError
from phi4train.training.ranks import OneRank
from phi4train.training.stopping import StopSignals
from phi4train.training.watching.saving import PeriodicSave
from tests.unit.training.tiny_training import step


def trainer() -> Any:
    return SimpleNamespace(should_stop=False)


def asked() -> StopSignals:
    stop = StopSignals(OneRank())
    stop.signal = signal.SIGTERM
    return stop


def test_checkpoints_are_saved_when_due_and_when_a_signal_asks() -> None:
    saved: list[int] = []
    one, stop = trainer(), StopSignals(OneRank())
    saver = PeriodicSave(saved.append, 2, stop)
    for number in range(4):
        saver.on_train_batch_end(one, None, None, step(number=number), 0)  # type: ignore[arg-type]
    assert saved == [2, 4] and not one.should_stop
    stop.signal = signal.SIGTERM
    saver.on_train_batch_end(one, None, None, step(number=4), 0)  # type: ignore[arg-type]
    assert saved == [2, 4, 5] and one.should_stop


def test_without_a_distance_only_a_signal_saves() -> None:
    saved: list[int] = []
    one, stop = trainer(), StopSignals(OneRank())
    saver = PeriodicSave(saved.append, 0, stop)
    for number in range(4):
        saver.on_train_batch_end(one, None, None, step(number=number), 0)  # type: ignore[arg-type]
    assert saved == [] and not one.should_stop
    stop.signal = signal.SIGUSR1
    saver.on_train_batch_end(one, None, None, step(number=4), 0)  # type: ignore[arg-type]
    assert saved == [5] and one.should_stop


def test_a_step_that_is_due_when_a_signal_comes_is_saved_once() -> None:
    saved: list[int] = []
    saver = PeriodicSave(saved.append, 2, asked())
    saver.on_train_batch_end(trainer(), None, None, step(number=1), 0)  # type: ignore[arg-type]
    assert saved == [2]


def test_a_save_that_fails_does_not_count_as_a_stop() -> None:
    def full(step: int) -> None:
        raise CheckpointError("no space")

    one = trainer()
    saver = PeriodicSave(full, 1, asked())
    with pytest.raises(CheckpointError):
        saver.on_train_batch_end(one, None, None, step(number=0), 0)  # type: ignore[arg-type]
    assert not one.should_stop


def test_a_signal_that_comes_while_it_saves_stops_after_that_very_step() -> None:
    one, stop = trainer(), StopSignals(OneRank())
    saved: list[int] = []

    def save(step: int) -> None:
        saved.append(step)
        stop.signal = signal.SIGTERM

    saver = PeriodicSave(save, 2, stop)
    for number in (0, 1):
        saver.on_train_batch_end(one, None, None, step(number=number), 0)  # type: ignore[arg-type]
    assert (saved, one.should_stop) == ([2], True)


def test_it_takes_the_signals_back_from_lightning_when_the_steps_begin() -> None:
    with StopSignals(OneRank()) as stop:
        own = signal.getsignal(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        PeriodicSave(lambda step: None, 0, stop).on_train_start(trainer(), None)  # type: ignore[arg-type]
        assert signal.getsignal(signal.SIGTERM) == own
