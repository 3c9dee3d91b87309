"""The state is saved when it is due and when a signal asks, and the signals are given back."""

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from phi4train.errors import CheckpointError
from phi4train.ranks import OneRank
from phi4train.training.watching.saving import PeriodicSave
from tests.unit.training.tiny_training import step

TRAINER: Any = SimpleNamespace(should_stop=False)


def test_a_second_ctrl_c_is_not_held_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    saver = PeriodicSave(lambda step: None, every_n_steps=0, ranks=OneRank())
    saver.on_train_start(TRAINER, None)  # type: ignore[arg-type]
    try:
        os.kill(os.getpid(), signal.SIGINT)
        assert saver.stop_signal is signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        saver.on_exception(TRAINER, None, KeyboardInterrupt())  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGINT) is before


def test_checkpoints_are_saved_when_due_and_when_a_signal_asks() -> None:
    saved: list[int] = []
    trainer: Any = SimpleNamespace(should_stop=False)
    saver = PeriodicSave(saved.append, every_n_steps=2, ranks=OneRank())
    before = signal.getsignal(signal.SIGTERM)
    saver.on_train_start(trainer, None)  # type: ignore[arg-type]
    for number in range(4):
        saver.on_train_batch_end(trainer, None, None, step(number=number), 0)  # type: ignore[arg-type]
    assert saved == [2, 4] and not trainer.should_stop
    os.kill(os.getpid(), signal.SIGTERM)
    assert saved == [2, 4], "the handler itself must not save"
    saver.on_train_batch_end(trainer, None, None, step(number=4), 0)  # type: ignore[arg-type]
    assert saved == [2, 4, 5] and trainer.should_stop and saver.stop_signal is signal.SIGTERM
    saver.teardown(trainer, None, "fit")  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGTERM) is before


def test_without_a_distance_only_a_signal_saves() -> None:
    saved: list[int] = []
    trainer: Any = SimpleNamespace(should_stop=False)
    saver = PeriodicSave(saved.append, every_n_steps=0, ranks=OneRank())
    for number in range(4):
        saver.on_train_batch_end(trainer, None, None, step(number=number), 0)  # type: ignore[arg-type]
    assert saved == [] and not trainer.should_stop
    saver.on_train_start(trainer, None)  # type: ignore[arg-type]
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        saver.teardown(trainer, None, "fit")  # type: ignore[arg-type]
    saver.on_train_batch_end(trainer, None, None, step(number=4), 0)  # type: ignore[arg-type]
    assert saved == [5] and trainer.should_stop


def test_a_step_that_is_due_when_a_signal_comes_is_saved_once() -> None:
    saved: list[int] = []
    trainer: Any = SimpleNamespace(should_stop=False)
    saver = PeriodicSave(saved.append, every_n_steps=2, ranks=OneRank())
    saver.stop_signal = signal.SIGTERM
    saver.on_train_batch_end(trainer, None, None, step(number=1), 0)  # type: ignore[arg-type]
    assert saved == [2]


def test_a_save_that_fails_does_not_count_as_a_stop() -> None:
    def full(step: int) -> None:
        raise CheckpointError("no space")

    trainer: Any = SimpleNamespace(should_stop=False)
    saver = PeriodicSave(full, every_n_steps=1, ranks=OneRank())
    with pytest.raises(CheckpointError):
        saver.on_train_batch_end(trainer, None, None, step(number=0), 0)  # type: ignore[arg-type]
    assert not trainer.should_stop


def test_a_signal_to_another_rank_saves_and_stops_this_one_too() -> None:
    class OtherIsStopped(OneRank):
        def any(self, flag: bool) -> bool:
            return True

    saved: list[int] = []
    trainer: Any = SimpleNamespace(should_stop=False)
    saver = PeriodicSave(saved.append, every_n_steps=0, ranks=OtherIsStopped())
    saver.on_train_batch_end(trainer, None, None, step(number=2), 0)  # type: ignore[arg-type]
    assert saved == [3] and trainer.should_stop and saver.stop_signal is None


def test_a_signal_that_comes_while_it_saves_stops_after_that_very_step() -> None:
    trainer: Any = SimpleNamespace(should_stop=False)
    saved: list[int] = []

    def save(step: int) -> None:
        saved.append(step)
        saver.stop_signal = signal.SIGTERM

    saver = PeriodicSave(save, every_n_steps=2, ranks=OneRank())
    for number in (0, 1):
        saver.on_train_batch_end(trainer, None, None, step(number=number), 0)  # type: ignore[arg-type]
    assert (saved, trainer.should_stop) == ([2], True)
