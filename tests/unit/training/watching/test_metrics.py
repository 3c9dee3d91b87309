"""Each step leaves one line of metrics, which is JSON whatever the loss is."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from phi4train.run.run_folder import RunFolder
from phi4train.training.module import StageModule
from phi4train.training.watching import metric_keys as keys
from phi4train.training.watching.loader_clock import LoaderClock
from phi4train.training.watching.metrics import MetricsWriter
from phi4train.training.watching.progress import Progress
from tests.unit.training.tiny_training import step, text_batch

TRAINER: Any = SimpleNamespace(should_stop=False)


def test_each_step_has_one_line_of_metrics(tmp_path: Path, make_module: Callable[..., StageModule]) -> None:
    folder, module, seen = RunFolder(tmp_path), make_module(), []
    batches = [step(text_batch((8, 6)), number=0), step(text_batch((5,)), number=1)]
    clock = LoaderClock(batches)  # type: ignore[arg-type]
    writer = MetricsWriter(folder, Progress(), clock, every_n_steps=2, sinks=[seen.append])
    for batch in clock:
        writer.on_train_batch_start(TRAINER, module, batch, 0)
        module.training_step(batch, 0)
        writer.on_train_batch_end(TRAINER, module, None, batch, 0)
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    assert [line[keys.STEP] for line in lines] == [0, 1]
    assert [line[keys.TOKENS] for line in lines] == [14, 5]
    assert lines[0]["optim/grad_norm/language_model"] == pytest.approx(lines[0][keys.GRAD_NORM])
    assert [metrics[keys.STEP] for metrics in seen] == [0]
