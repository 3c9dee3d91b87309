"""Lightning runs one optimizer step a batch, until the batches end or a signal stops it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch

from phi4train.config.schema import Device, HardwareConfig, Precision
from phi4train.ranks import OneRank
from phi4train.training import fitting
from phi4train.training.fitting import LIGHTNING_PRECISION, fit
from phi4train.training.module import StageModule
from phi4train.training.watching.loader_clock import LoaderClock
from tests.unit.training.tiny_training import step, text_batch, trainable_of

CPU = HardwareConfig(device=Device.cpu)


class Observer(L.Callback):
    """Notes the steps that it sees, and does something at one of them."""

    def __init__(self, at: int = -1, act: Callable[[L.Trainer], None] = lambda trainer: None) -> None:
        self.steps: list[int] = []
        self._at, self._act = at, act

    def on_train_batch_end(self, trainer: L.Trainer, *arguments: Any) -> None:
        self.steps.append(arguments[2].step)
        if arguments[2].step == self._at:
            self._act(trainer)


def batches(count: int) -> LoaderClock:
    return LoaderClock([step(text_batch((8, 5), seed=n), number=n) for n in range(count)], OneRank())  # type: ignore[arg-type]


def test_the_steps_are_those_of_the_module_alone_to_the_last_bit(
    make_module: Callable[..., StageModule], tmp_path: Path
) -> None:
    alone, fitted, observer = make_module(), make_module(), Observer()
    for number, batch in enumerate(batches(3)):
        alone.training_step(batch, number)
    fit(fitted, batches(3), CPU, [observer], tmp_path)
    assert observer.steps == [0, 1, 2] and fitted.next_step == 3
    assert fitted.result == alone.result
    for name, parameter in trainable_of(alone).items():
        assert torch.equal(parameter, trainable_of(fitted)[name]), name
    assert list(tmp_path.iterdir()) == [], "checkpoints and logs are ours to write"


def test_an_observer_may_stop_the_run_after_a_step(
    make_module: Callable[..., StageModule], tmp_path: Path
) -> None:
    observer = Observer(at=1, act=lambda trainer: setattr(trainer, "should_stop", True))
    module = make_module()
    fit(module, batches(5), CPU, [observer], tmp_path)
    assert observer.steps == [0, 1] and module.next_step == 2


def test_ctrl_c_arrives_as_it_was_raised_and_not_as_the_end_of_the_process(
    make_module: Callable[..., StageModule], tmp_path: Path
) -> None:
    def interrupt(_: L.Trainer) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(make_module(), batches(3), CPU, [Observer(at=1, act=interrupt)], tmp_path)


@pytest.mark.parametrize("precision", list(Precision))
def test_lightning_is_asked_for_the_precision_of_the_hardware(
    precision: Precision,
    make_module: Callable[..., StageModule],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    class Trainer:
        def __init__(self, **options: Any) -> None:
            asked.append(options["precision"])

        def fit(self, *_: Any, **__: Any) -> None:
            pass

    monkeypatch.setattr(fitting.L, "Trainer", Trainer)
    hardware = HardwareConfig(device=Device.cpu, precision=precision)
    fit(make_module(), batches(1), hardware, [], tmp_path)
    assert asked == [LIGHTNING_PRECISION[precision]]
    assert (asked == ["bf16-mixed"]) == (precision is Precision.bf16_mixed)
