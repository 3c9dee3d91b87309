import json
from pathlib import Path

import pytest

from phi4train.checkpoint.store import find_damage, write_folder
from phi4train.errors import CheckpointError, ResumeError
from phi4train.run.run_folder import RUN_FILES, RunFolder, append_line


def test_a_rewound_folder_keeps_only_the_lines_before_the_step(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in range(5):
        append_line(folder.metrics, {"step": step, "train/loss": 1.0})
        append_line(folder.skipped, {"step": step, "cause": "broken_image"})
    with folder.metrics.open("a") as stream:
        stream.write('{"step": 5, "train/lo')
    folder.rewind(3)
    for path in (folder.metrics, folder.skipped):
        assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2]


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    with (
        folder.locked(),
        pytest.raises(ResumeError, match=r"one process at a time.* · found another one that does · wait"),
        RunFolder(tmp_path / "run").locked(),
    ):
        pass
    with folder.locked():
        pass


def test_a_killed_write_is_cleaned_up_once_the_folder_is_held(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    write_folder(folder.artifact, {}, {"lineage": {"x": 1}})
    folder.artifact.rename(folder.path / "artifact.tmp-old-12345678")
    (folder.checkpoints / "step=00000001.tmp-12345678").mkdir(parents=True)
    (folder.path / "config.yaml.tmp-12345678").write_text("seed:")
    assert not folder.is_used(), "temporaries are no run"
    with folder.locked():
        assert find_damage(folder.artifact) is None
        assert not list(folder.path.rglob("*.tmp-*"))


def test_a_run_keeps_its_logger_id_until_it_is_set_aside(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    first = folder.logger_id()
    assert first == RunFolder(tmp_path / "run").logger_id()
    folder.set_aside()
    assert folder.logger_id() != first


@pytest.mark.parametrize("text", ["a: [", "- a list", ""])
def test_a_config_that_is_no_mapping_is_a_clear_error(tmp_path: Path, text: str) -> None:
    folder = RunFolder(tmp_path)
    folder.config.write_text(text)
    with pytest.raises(CheckpointError, match=r"config.yaml must be the YAML mapping.*put it back"):
        folder.read_config()


def test_setting_aside_loses_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_config({"seed": 3})
    (folder.checkpoints / "step=00000001").mkdir(parents=True)
    assert folder.is_used()
    aside = folder.set_aside()
    assert not folder.is_used() and folder.read_config() is None
    assert (aside / "checkpoints" / "step=00000001").is_dir() and (aside / "config.yaml").is_file()


def test_only_what_a_run_writes_is_set_aside(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_config({"seed": 3})
    for name in ("mine", "notes"):
        (folder.path / name / "artifact").mkdir(parents=True)
    for name in ("notes.txt", "config.yaml.bak", "evaluation-own.txt"):
        (folder.path / name).write_text("mine")
    written = {*RUN_FILES, "evaluation-other.json", "answers-other.jsonl"}
    for name in written:
        (folder.path / name).write_text("run")
    aside = folder.set_aside()
    assert {path.name for path in aside.iterdir()} == written
    kept = {"mine", "notes", "notes.txt", "config.yaml.bak", "evaluation-own.txt", aside.name}
    assert {path.name for path in folder.path.iterdir()} == kept


def test_to_look_at_a_folder_does_not_make_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert not folder.is_used() and folder.read_config() is None
    assert not folder.path.exists()
    with folder.locked():
        assert folder.path.is_dir()
