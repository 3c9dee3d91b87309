import json
from pathlib import Path

import pytest

from phi4train.errors import ResumeError
from phi4train.training.run_folder import RunFolder, append_line


def test_a_rewound_folder_keeps_only_the_lines_before_the_step(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
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
        pytest.raises(ResumeError, match=r"one process at a time.*another one does"),
        RunFolder(tmp_path / "run").locked(),
    ):
        pass
    with folder.locked():
        pass


def test_setting_aside_loses_nothing(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    folder.write_config({"seed": 3})
    (folder.checkpoints / "step=00000001").mkdir(parents=True)
    assert folder.is_used()
    aside = folder.set_aside()
    assert not folder.is_used() and folder.read_config() is None
    assert (aside / "checkpoints" / "step=00000001").is_dir() and (aside / "config.yaml").is_file()
