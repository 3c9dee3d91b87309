import errno
import json
import os
from pathlib import Path

import pytest
import torch

from phi4train import files
from phi4train.checkpoint.store import (
    clean_up,
    find_damage,
    read_document,
    read_tensors,
    write_folder,
)
from phi4train.errors import CheckpointError

TENSORS = {"weights": {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}}


def test_what_is_written_reads_back_bit_for_bit(tmp_path: Path) -> None:
    write_folder(tmp_path / "x", TENSORS, {"state": {"step": 3}})
    read = read_tensors(tmp_path / "x", "weights")
    assert all(torch.equal(read[key], TENSORS["weights"][key]) for key in TENSORS["weights"])
    assert read["b"].dtype is torch.bfloat16
    assert read_document(tmp_path / "x", "state") == {"step": 3}
    assert find_damage(tmp_path / "x") is None


def test_views_of_larger_tensors_are_stored_alone(tmp_path: Path) -> None:
    whole = torch.arange(100.0).reshape(10, 10)
    write_folder(tmp_path / "x", {"weights": {"column": whole[:, 3], "row": whole[3]}}, {})
    assert torch.equal(read_tensors(tmp_path / "x", "weights")["column"], whole[:, 3])


@pytest.mark.parametrize("damage", ["flip", "truncate", "remove", "no_manifest"])
def test_every_damage_is_found(tmp_path: Path, damage: str) -> None:
    write_folder(tmp_path / "x", TENSORS, {"state": {"step": 3}})
    target = tmp_path / "x" / "weights.safetensors"
    data = bytearray(target.read_bytes())
    if damage == "flip":
        data[-1] ^= 1
        target.write_bytes(data)
    elif damage == "truncate":
        target.write_bytes(data[:-1])
    elif damage == "remove":
        target.unlink()
    else:
        (tmp_path / "x" / "files.json").unlink()
    assert find_damage(tmp_path / "x") is not None


def test_a_full_disk_leaves_the_old_folder_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "x", {}, {"state": {"step": 1}})

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "sync", full)
    with pytest.raises(CheckpointError, match=r"room for a full checkpoint.*No space left.*free disk space"):
        write_folder(tmp_path / "x", TENSORS, {"state": {"step": 2}})
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert read_document(tmp_path / "x", "state") == {"step": 1}


def test_a_replaced_folder_is_whole_and_leaves_no_rest(tmp_path: Path) -> None:
    write_folder(tmp_path / "x", TENSORS, {"state": {"step": 1}})
    write_folder(tmp_path / "x", {}, {"state": {"step": 2}})
    assert json.loads((tmp_path / "x" / "state.json").read_text())["step"] == 2
    assert not (tmp_path / "x" / "weights.safetensors").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_a_rename_that_fails_puts_the_old_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_folder(tmp_path / "x", {}, {"state": {"step": 1}})
    original, calls = Path.rename, []

    def second_fails(self: Path, target: Path) -> Path:
        calls.append(self)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        return original(self, target)

    monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(CheckpointError, match="Input/output error"):
        write_folder(tmp_path / "x", TENSORS, {"state": {"step": 2}})
    assert [p.name for p in tmp_path.iterdir()] == ["x"]
    assert read_document(tmp_path / "x", "state") == {"step": 1}


def test_a_kill_between_the_renames_is_healed(tmp_path: Path) -> None:
    write_folder(tmp_path / "x", {}, {"state": {"step": 1}})
    (tmp_path / "x").rename(tmp_path / "x.tmp-old-12345678")
    write_folder(tmp_path / "y.tmp-old-12345678", {}, {"state": {"step": 1}})
    write_folder(tmp_path / "y", {}, {"state": {"step": 2}})
    clean_up(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x", "y"]
    assert read_document(tmp_path / "x", "state") == {"step": 1}
    assert read_document(tmp_path / "y", "state") == {"step": 2}, "a published folder stays"


@pytest.mark.parametrize("content", ["[]", '{"x": 1}', '{"x": {"bytes": 1}}', "nonsense"])
def test_a_foreign_list_of_files_is_damage(tmp_path: Path, content: str) -> None:
    (tmp_path / "files.json").write_text(content)
    assert "files.json" in (find_damage(tmp_path) or "")


def test_a_document_that_is_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text("[1]")
    with pytest.raises(CheckpointError, match=r"must be a JSON object · found \[1\] · "):
        read_document(tmp_path, "state")


def test_temporaries_of_a_killed_write_are_removed(tmp_path: Path) -> None:
    (tmp_path / "step=00000003.tmp-abc").mkdir()
    (tmp_path / "config.yaml.tmp-abc").touch()
    (tmp_path / "step=00000002").mkdir()
    clean_up(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["step=00000002"]


@pytest.mark.parametrize("mask", [0o022, 0o027, 0o077, 0o002])
def test_all_files_of_a_folder_have_the_mode_that_the_umask_gives(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_folder(tmp_path / "x", {"model": {"w": torch.ones(2)}}, {"state": {"step": 1}})
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "x").iterdir()}
    assert modes == dict.fromkeys(("model.safetensors", "state.json", "files.json"), 0o666 & ~mask)
