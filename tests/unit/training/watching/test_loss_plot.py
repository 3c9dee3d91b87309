"""The plot shows the steps that have a loss."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from phi4train.batch import IGNORE_INDEX
from phi4train.evaluation.metrics.perplexity import LOSS as EVAL_LOSS
from phi4train.run.record import RunRecord
from phi4train.run.run_folder import RunFolder, append_line
from phi4train.training.module import StageModule
from phi4train.training.watching import metric_keys as keys
from phi4train.training.watching.loader_clock import LoaderClock
from phi4train.training.watching.loss_plot import (
    draw_losses,
    draw_missing_losses,
    ranges,
    running_mean,
    smoothing_width,
)
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
    draw_losses(RunRecord(tmp_path), "title")
    assert folder.loss_plot.is_file()


def test_a_running_mean_looks_back_and_never_ahead() -> None:
    assert running_mean([], 3).tolist() == []
    assert running_mean([4.0, 2.0, 6.0, 0.0, 3.0], 3) == pytest.approx([4.0, 3.0, 4.0, 8 / 3, 3.0])
    values = [float(n * n) for n in range(9)]
    assert running_mean(values[:5], 3).tolist() == running_mean(values, 3)[:5].tolist()
    assert running_mean(values, 1).tolist() == values


def test_the_mean_grows_with_the_length_of_the_run() -> None:
    assert [smoothing_width(steps) for steps in (0, 10, 1000, 1050, 5000, 100_000)] == [
        20,
        20,
        20,
        21,
        100,
        2000,
    ]


def test_a_range_leaves_out_the_farthest_of_its_part() -> None:
    values = np.arange(200.0)
    values[7] = 1e9
    places, low, high = ranges(values, 2)
    assert places.tolist() == [0, 100]
    assert (low[0], low[1]) == (pytest.approx(4.95, abs=1), pytest.approx(104.95))
    assert high[0] < 100 and high[1] == pytest.approx(194.05)


def drawn_labels(run: RunRecord, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The legend of a plot."""
    found: list[str] = []
    original = Figure.savefig

    def reading(self: Figure, *arguments: Any, **options: Any) -> None:
        found.extend(text.get_text() for text in self.axes[0].get_legend().get_texts())
        original(self, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", reading)
    draw_losses(run, "title")
    return found


def test_the_legend_names_held_out_losses_and_the_learning_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = RunFolder(tmp_path)
    for number in range(500):
        append_line(folder.metrics, {"step": number, "train/loss": 1.0 / (1 + number), "optim/lr": 0.1})
    few = ["loss, 90 % of the steps", "mean of 20 steps", "learning rate"]
    assert drawn_labels(RunRecord(tmp_path), monkeypatch) == few
    append_line(folder.evaluations, {"step": 99, EVAL_LOSS: 0.5})
    folder.evaluation.write_text(json.dumps({"metrics": {EVAL_LOSS: 0.4}}))
    held_out = ["held-out loss", "held-out loss at the end"]
    assert drawn_labels(RunRecord(tmp_path), monkeypatch) == [*few[:2], *held_out, few[2]]
    folder.evaluation.write_text("{")
    assert "held-out loss at the end" not in drawn_labels(RunRecord(tmp_path), monkeypatch)


def test_a_run_without_any_loss_has_an_empty_plot(tmp_path: Path) -> None:
    append_line(tmp_path / "metrics.jsonl", {"step": 0, "train/loss": None, "optim/lr": 0.1})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draw_losses(RunRecord(tmp_path), "title")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_line_that_damage_left_without_a_number_is_left_out_of_the_plot(tmp_path: Path) -> None:
    line = {"step": 0, "train/loss": 1.0, "optim/lr": 0.1}
    damaged = [{k: v for k, v in line.items() if k != key} for key in line]
    for one in (line, *damaged, {**line, "train/loss": "1"}):
        append_line(tmp_path / "metrics.jsonl", one)
    draw_losses(RunRecord(tmp_path), "title")
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

    append_line(tmp_path / "metrics.jsonl", {"step": 0, "train/loss": 1.0, "optim/lr": 0.1})
    monkeypatch.setattr("phi4train.files.os.fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        draw_losses(RunRecord(tmp_path), "title")
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl"]
