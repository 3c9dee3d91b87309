"""Files are complete under their name or not there at all."""

import os
from pathlib import Path
from typing import Any

import pytest

from phi4train import files
from phi4train.files import OLD_MARK, publish_folder, sync, temporary_name, write_atomically


def full(*_: Any) -> None:
    raise OSError(28, "No space left on device")


def test_a_file_holds_what_was_written_and_its_folder_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "x"
    write_atomically(path, b"\0\xffcontent")
    assert path.read_bytes() == b"\0\xffcontent" and list(path.parent.iterdir()) == [path]
    write_atomically(path, b"")
    assert path.read_bytes() == b"" and list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("old", [b"old", None])
@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_an_atomic_write_that_fails_keeps_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, old: bytes | None
) -> None:
    path = tmp_path / "x"
    if old is not None:
        write_atomically(path, old)
    monkeypatch.setattr(*((files.os, "fsync") if failing == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == ([("x", old)] if old else [])


def test_the_content_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x"
    synced: list[bytes] = []

    def look(_: int) -> None:
        if not path.exists():  # afterwards the folder is synced
            synced.extend(file.read_bytes() for file in tmp_path.iterdir())

    monkeypatch.setattr(files.os, "fsync", look)
    write_atomically(path, b"content")
    assert synced == [b"content"]


def test_a_write_that_is_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "x", b"content")
    assert list(tmp_path.iterdir()) == []


def folder_of(path: Path, content: str) -> Path:
    """A finished folder under a temporary name."""
    temporary = temporary_name(path)
    temporary.mkdir()
    (temporary / "file").write_text(content)
    return temporary


def test_a_published_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for content in ("old", "new"):
        publish_folder(folder_of(folder, content), folder)
    assert (folder / "file").read_text() == "new" and list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_cannot_be_published_leaves_the_old_one_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "folder"
    publish_folder(folder_of(folder, "old"), folder)
    temporary, rename = folder_of(folder, "new"), Path.rename

    def fail(self: Path, target: Path) -> Path:
        return full() if self == temporary else rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(OSError, match="No space"):
        publish_folder(temporary, folder)
    assert (folder / "file").read_text() == "old"
    assert not list(tmp_path.glob(f"*{OLD_MARK}*"))


def test_a_folder_that_is_synced_is_closed_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    sync(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        sync(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
