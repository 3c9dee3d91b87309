"""The plot shows the steps that have a loss."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from phi4train.batch import IGNORE_INDEX
from phi4train.run.record import RunRecord
from phi4train.run.run_folder import RunFolder, append_line
from phi4train.training.module import StageModule
from phi4train.training.watching import metric_keys as keys
from phi4train.training.watching.loader_clock import LoaderClock
from phi4train.training.watching.loss_plot import draw_losses, draw_missing_losses, running_mean
from phi4train.training.watching.metrics import MetricsWriter
from phi4train.training.watching.progress import Progress
from tests.unit.training.tiny_training import step, text_batch

TRAINER: Any = SimpleNamespace(should_stop=False)


def test_a_step_without_targets_writes_null_and_is_left_out_of_the_plot(
    tmp_path: Path, make_module: Callable[..., StageModule]
) -> None:
    folder, module = RunFolder(tmp_path), make_module()
    batch = text_batch((8,))
    without = replace(batch, labels_T=torch.full_like(batch.labels_T, IGNORE_INDEX))
    clock = LoaderClock([step(without), step(batch, number=1)])  # type: ignore[arg-type]
    writer = MetricsWriter(folder, Progress(), clock, every_n_steps=2, sinks=[])
    for batches in clock:
        module.training_step(batches, 0)
        writer.on_train_batch_end(TRAINER, module, None, batches, 0)
    first, second = (
        json.loads(line, parse_constant=pytest.fail) for line in folder.metrics.read_text().splitlines()
    )
    assert first[keys.LOSS] is None and first[keys.GRAD_NORM] == 0 and second[keys.LOSS] > 0
    draw_losses(RunRecord(tmp_path).steps, folder.loss_plot, "title")
    assert folder.loss_plot.is_file()


def test_a_running_mean_looks_back_and_never_ahead() -> None:
    assert running_mean([], 3) == []
    assert running_mean([4.0, 2.0, 6.0, 0.0, 3.0], 3) == [4.0, 3.0, 4.0, pytest.approx(8 / 3), 3.0]
    values = [float(n * n) for n in range(9)]
    assert running_mean(values[:5], 3) == running_mean(values, 3)[:5]
    assert running_mean(values, 1) == values


def test_a_run_without_any_loss_has_an_empty_plot(tmp_path: Path) -> None:
    line = {"step": 0, "train/loss": None, "optim/lr": 0.1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_losses([line], tmp_path / "loss.png", "title")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_that_damage_left_without_a_number_is_left_out_of_the_plot(tmp_path: Path) -> None:
    line = {"step": 0, "train/loss": 1.0, "optim/lr": 0.1}
    damaged = [{k: v for k, v in line.items() if k != key} for key in line]
    draw_losses([line, *damaged, {**line, "train/loss": "1"}], tmp_path / "loss.png", "title")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_that_a_kill_left_undrawn_is_drawn_once(tmp_path: Path) -> None:
    run = RunRecord(tmp_path)
    draw_missing_losses(run, "title")
    assert list(tmp_path.iterdir()) == [], "there is nothing to draw"
    append_line(run.folder.metrics, {"step": 0, "train/loss": 1.0, "optim/lr": 0.1})
    run = RunRecord(tmp_path)
    draw_missing_losses(run, "title")
    assert run.folder.loss_plot.read_bytes().startswith(b"\x89PNG")
    run.folder.loss_plot.write_bytes(b"drawn")
    draw_missing_losses(run, "title")
    assert run.folder.loss_plot.read_bytes() == b"drawn"


def test_a_plot_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("phi4train.files.os.fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        draw_losses([{"step": 0, "train/loss": 1.0, "optim/lr": 0.1}], tmp_path / "loss.png", "title")
    assert list(tmp_path.iterdir()) == []
