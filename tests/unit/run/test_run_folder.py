import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from phi4train.checkpoint.store import find_damage, write_folder
from phi4train.errors import CheckpointError, ResumeError
from phi4train.run.run_folder import RUN_FILES, RunFolder, append_line, read_lines


def test_a_rewound_folder_keeps_only_the_lines_before_the_step(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    for step in range(5):
        append_line(folder.metrics, {"step": step, "train/loss": 1.0})
        append_line(folder.skipped, {"step": step, "cause": "broken_image"})
    with folder.metrics.open("a") as stream:
        stream.write('{"step": 5, "train/lo')
    folder.rewind(range(3))
    for path in (folder.metrics, folder.skipped):
        assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [0, 1, 2]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "one bit": lambda content: content.replace(b'{"step": 1', b'{"stgp": 1'),
    "a brace": lambda content: content.replace(b'{"step": 1', b'["step": 1'),
    "another type": lambda content: content.replace(b'"step": 1', b'"step": "1"'),
    "not UTF-8": lambda content: content.replace(b'"step": 1', b'"step": \xff'),
    "NUL inside": lambda content: content.replace(b'"step": 1', b"\0" * 9),
    "NUL tail": lambda content: content + b"\0" * 100,
    "no object": lambda content: content + b"7\n",
    "deep": lambda content: content + b"[" * 100_000 + b"\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["metrics", "skipped", "evaluations"])
def test_a_line_that_cannot_be_read_is_dropped_and_told(tmp_path: Path, name: str, damage: str) -> None:
    folder = RunFolder(tmp_path)
    for step in range(5):
        append_line(folder.metrics, {"step": step})
        append_line(getattr(folder, name), {"step": step, "text": "ä\u2028b"})
    path: Path = getattr(folder, name)
    if name == "metrics":
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[1::2]))
    path.write_bytes(DAMAGES[damage](path.read_bytes()))
    (told,) = folder.rewind(range(4))
    assert told == f"{path} has lost 1 lines, which cannot be read"
    kept, num_lost = read_lines(path)
    assert num_lost == 0 and kept == [
        {"step": step, "text": "ä\u2028b"}
        for step in range(4)
        if step != 1 or damage in ("NUL tail", "no object", "deep")
    ]


def test_metrics_that_are_gone_are_told(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    assert folder.rewind(range(0)) == [] and list(tmp_path.iterdir()) == []
    for step in (0, 1, 4):
        append_line(folder.metrics, {"step": step})
    assert folder.rewind(range(2)) == []
    assert folder.rewind(range(3)) == [f"{folder.metrics} has lost the metrics of 1 of 3 steps"]
    folder.metrics.unlink()
    assert folder.rewind(range(3)) == [f"{folder.metrics} has lost the metrics of 3 of 3 steps"]
    assert list(tmp_path.iterdir()) == []


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


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_forked_process_that_outlives_the_run_does_not_hold_its_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    (reading, writing), (told, telling) = os.pipe(), os.pipe()
    with folder.locked():
        child = os.fork()
        if child == 0:  # a loader's worker: it lives until its pipe is closed
            os.close(writing)
            os.write(telling, b"!")
            os.read(reading, 1)
            os._exit(0)
        os.read(told, 1)
        with pytest.raises(ResumeError, match="one process at a time"), folder.locked():
            pass
    try:
        with folder.locked():
            assert os.waitpid(child, os.WNOHANG) == (0, 0), "it is still there"
    finally:
        for handle in (writing, reading, told, telling):
            os.close(handle)
        os.waitpid(child, 0)


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
