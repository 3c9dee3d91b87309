"""What a run left is read from its files, and nothing is written to look at it."""

import json
from pathlib import Path

import pytest
import torch

from phi4train.checkpoint.artifact import save_artifact
from phi4train.config.convert import config_to_dict
from phi4train.config.load import load_config
from phi4train.errors import CheckpointError
from phi4train.run.record import RunRecord
from phi4train.run.run_folder import RunFolder, append_line

LINES = {
    "steps": "metrics",
    "evaluations": "evaluations",
    "answers": "answers",
    "skipped": "skipped",
}
"""By what a record tells in lines, the file of the run folder."""


def test_a_run_that_left_nothing_is_empty_and_is_not_made(tmp_path: Path) -> None:
    record = RunRecord(tmp_path / "run")
    assert record.config is None and record.evaluation is None
    assert all(getattr(record, name) == [] for name in LINES)
    with pytest.raises(CheckpointError, match="artifact"):
        _ = record.lineage
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", LINES)
def test_lines_are_read_from_their_own_file_without_one_that_was_cut_short(name: str, tmp_path: Path) -> None:
    path: Path = getattr(RunFolder(tmp_path), LINES[name])
    lines = [{"step": step, "text": "ä\u2028b"} for step in range(3)]
    for line in lines:
        append_line(path, line)
    with path.open("a") as stream:
        stream.write('{"step": 3, "te')
    record = RunRecord(tmp_path)
    assert getattr(record, name) == lines
    assert all(getattr(record, other) == [] for other in LINES if other != name)


def test_configuration_results_and_lineage_are_those_of_the_files(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    artifact = save_artifact(
        folder.artifact,
        {"language_model": {"w": torch.ones(2)}},
        stage="lm",
        parents={},
        recipe={"seed": 3},
        data_fingerprint="d",
        code={},
        results={},
    )
    folder.write_config({"seed": 3})
    folder.evaluation.write_text(json.dumps({"metrics": {"eval/loss": 2.0}}))
    record = RunRecord.of_artifact(folder.artifact)
    assert record.path == folder.path
    assert record.config == {"seed": 3}
    assert record.evaluation == {"metrics": {"eval/loss": 2.0}}
    assert record.lineage == artifact.lineage


@pytest.mark.parametrize("text", ["", "{", "[1]", '"text"'])
def test_results_that_are_no_object_are_a_clear_error(text: str, tmp_path: Path) -> None:
    RunFolder(tmp_path).evaluation.write_text(text)
    with pytest.raises(CheckpointError, match=r"evaluation\.json must be the JSON object"):
        _ = RunRecord(tmp_path).evaluation


def test_a_file_is_read_once(tmp_path: Path) -> None:
    record = RunRecord(tmp_path)
    assert record.steps == []
    append_line(record.folder.metrics, {"step": 0})
    assert record.steps == [] and RunRecord(tmp_path).steps == [{"step": 0}]


@pytest.mark.parametrize("bad", [b"\xff\n", b"\0\0\n", b"[1]\n", b"{\n", b"\0\0\0"])
@pytest.mark.parametrize("name", LINES)
def test_a_line_that_cannot_be_read_hides_no_other(name: str, bad: bytes, tmp_path: Path) -> None:
    path: Path = getattr(RunFolder(tmp_path), LINES[name])
    append_line(path, {"step": 0})
    with path.open("ab") as stream:
        stream.write(bad)
    record = RunRecord(tmp_path)
    assert getattr(record, name) == [{"step": 0}]
    assert record.lost == [f"{path} has lost 1 lines, which cannot be read"], "and it is told"


def test_what_a_whole_record_has_lost_is_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert RunRecord(tmp_path).lost == []
    for step in (3, 4, 5):  # of a branch
        append_line(folder.metrics, {"step": step})
    assert RunRecord(tmp_path).lost == []
    folder.metrics.write_text('{"step": 3}\n{"step": 5}\n')
    assert RunRecord(tmp_path).lost == [f"{folder.metrics} has lost the metrics of 1 of 3 steps"]


@pytest.mark.parametrize("left", [0, 2])
def test_a_finished_run_whose_metrics_are_gone_tells_it(tmp_path: Path, left: int) -> None:
    folder = RunFolder(tmp_path)
    words = ["budget.max_steps=4", "budget.tokens=null", "schedule.warmup_steps=0"]
    recipe = config_to_dict(load_config(["stage=lm_pretrain", "scale=demo", *words]))
    state = {"language_model": {"w": torch.ones(2)}}
    save_artifact(
        folder.artifact,
        state,
        stage="lm_pretrain",
        parents={},
        recipe=recipe,
        data_fingerprint="d",
        code={},
        results={},
    )
    for step in range(left):
        append_line(folder.metrics, {"step": step})
    assert RunRecord(tmp_path).lost == [f"{folder.metrics} has lost the metrics of {4 - left} of 4 steps"]
