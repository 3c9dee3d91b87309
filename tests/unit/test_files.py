"""Files are complete under their name or not there at all."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from phi4train import files
from phi4train.files import (
    OLD_MARK,
    claimed_folder,
    locked_folder,
    open_claimed,
    publish_folder,
    remove_dead,
    sync,
    temporary_name,
    write_atomically,
)


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


HOLD = """
import sys, time
from pathlib import Path
from phi4train.files import claimed_folder, open_claimed

if sys.argv[1] == "folder":
    with claimed_folder(Path(sys.argv[2])) as temporary:
        (temporary / "x").write_bytes(b"x")
        print(temporary, flush=True)
        time.sleep(60)
else:
    file = open_claimed(Path(sys.argv[2]))
    print(sys.argv[2], flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_a_living_writer_holds_stays_and_what_a_killed_one_left_goes(kind: str, tmp_path: Path) -> None:
    arguments = [sys.executable, "-c", HOLD, kind, str(tmp_path / "a")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        temporary = Path(writer.stdout.readline().strip())
        remove_dead([temporary, tmp_path / "none"])
        assert temporary.exists()
        writer.kill()
    assert temporary.exists()
    remove_dead([temporary])
    assert not temporary.exists()


def test_a_claimed_folder_that_is_not_published_goes_and_one_that_is_stays(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space"), claimed_folder(tmp_path / "a") as temporary:
        (temporary / "x").touch()
        full()
    assert list(tmp_path.iterdir()) == []
    with claimed_folder(tmp_path / "a") as temporary:
        publish_folder(temporary, tmp_path / "a")
        remove_dead([tmp_path / "a"])
    assert (tmp_path / "a").is_dir()


def test_a_temporary_that_was_taken_for_a_dead_ones_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, made = fcntl.flock, []

    def lock_late(handle: int, how: int) -> None:
        for path in [] if made else list(tmp_path.iterdir()):
            path.rmdir() if path.is_dir() else path.unlink()
        made.append(handle)
        lock(handle, how)

    monkeypatch.setattr(files.fcntl, "flock", lock_late)
    with claimed_folder(tmp_path / "a") as temporary:
        assert temporary.is_dir() and len(made) == 2
    made.clear()
    with open_claimed(tmp_path / "b"):
        assert (tmp_path / "b").exists() and len(made) == 2


def test_without_locks_nothing_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(files.fcntl, "flock", none)
    (tmp_path / "left").mkdir()
    with claimed_folder(tmp_path / "a") as temporary, locked_folder(tmp_path):
        remove_dead([temporary, tmp_path / "left"])
        assert temporary.is_dir() and (tmp_path / "left").is_dir()
