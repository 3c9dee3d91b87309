"""What the operating system refuses is told by its kind."""

import errno
import os
from pathlib import Path

import pytest

from phi4train.os_errors import os_error_text


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (errno.ENOSPC, "must have room · found No space left on device · free space"),
        (errno.EDQUOT, "must have room · found Disk quota exceeded · free space"),
        (errno.EACCES, "must be open to this user · found Permission denied · mend its permissions"),
        (errno.EROFS, "must be writable · found Read-only file system · choose a folder"),
        (errno.EMFILE, "found Too many open files · raise the limit of open files"),
        (errno.EIO, "found Input/output error · look at the disk"),
        (errno.EXDEV, "must be usable · found Invalid cross-device link · mend what it tells"),
    ],
)
def test_each_kind_has_its_own_remedy(number: int, told: str) -> None:
    text = os_error_text(OSError(number, os.strerror(number), "/x/y"))
    assert text.startswith("/x/y must ") and told in text and text.count(" · ") == 2
    assert text.endswith("untouched, and resume=auto, the default, goes on from them")


def open_missing(folder: Path) -> None:
    (folder / "gone").open()


def open_folder(folder: Path) -> None:
    folder.open()


def open_below_a_file(folder: Path) -> None:
    (folder / "file").write_text("x")
    (folder / "file" / "x").mkdir()


def open_long(folder: Path) -> None:
    (folder / ("x" * 300)).open("w")


def open_loop(folder: Path) -> None:
    (folder / "a").symlink_to(folder / "a")
    (folder / "a").open()


@pytest.mark.parametrize(
    ("fail", "told"),
    [
        (open_missing, "gone must be there · found No such file or directory · correct the path"),
        (open_folder, "must be a file · found Is a directory · correct the path: a folder is there"),
        (open_below_a_file, "must lead through folders only · found Not a directory"),
        (open_long, "must have names of at most 255 bytes in it · found File name too long"),
        (open_loop, "must lead somewhere · found Too many levels of symbolic links"),
    ],
)
def test_what_really_happens_names_the_path(fail: object, told: str, tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:
        fail(tmp_path)  # type: ignore[operator]
    assert told in os_error_text(caught.value) and str(tmp_path) in os_error_text(caught.value)


def test_an_error_without_a_number_or_a_path_is_a_sentence_too() -> None:
    assert os_error_text(OSError("odd\nthing")).startswith(
        "a file or folder of this command must be usable · found odd thing · mend"
    )
