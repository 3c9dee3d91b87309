"""Files and folders that are complete under their name or not there at all; the only place that syncs."""

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

TEMPORARY_MARK = ".tmp-"
"""In the name of whatever is not complete yet, or is about to go."""
OLD_MARK = f"{TEMPORARY_MARK}old-"
"""In the name of a folder that makes place for a new one of its name."""


def temporary_name(path: Path) -> Path:
    """A name beside `path` that no other write uses."""
    return path.with_name(f"{path.name}{TEMPORARY_MARK}{uuid.uuid4().hex[:8]}")


@contextmanager
def claimed_folder(path: Path) -> Iterator[Path]:
    """A new temporary folder beside `path`, known as a living writer's; if it is not published, it goes."""
    while True:
        temporary = temporary_name(path)
        temporary.mkdir(parents=True)
        handle = os.open(temporary, os.O_RDONLY)
        if _claim(handle, temporary):
            break
        os.close(handle)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        os.close(handle)


def open_claimed(temporary: Path) -> BinaryIO:
    """A new temporary file, known as a living writer's for as long as it is open."""
    while True:
        file = temporary.open("wb")
        if _claim(file.fileno(), temporary):
            return file
        file.close()


def _claim(handle: int, path: Path) -> bool:
    """Locks what was just made; False: `remove_dead` has taken it for a dead writer's in between."""
    with suppress(OSError):  # a file system without locks, where `remove_dead` cannot lock either
        fcntl.flock(handle, fcntl.LOCK_EX)
    return _is_at(handle, path)


def _is_at(handle: int, path: Path) -> bool:
    """Whether an open file or folder still is what a path leads to."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except OSError:
        return False


@contextmanager
def locked_folder(folder: Path) -> Iterator[None]:
    """Waits until no other process is in a block of this folder, on file systems that have locks."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def remove_dead(temporaries: Iterable[Path]) -> None:
    """Deletes temporary files and folders whose writers were killed; those of living ones stay."""
    for path in temporaries:
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(handle, path):  # it was published
                continue
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        except OSError:  # its writer holds it, or nobody can
            continue
        finally:
            os.close(handle)


def sync(path: Path) -> None:
    """Makes the content of a file durable, or the renames inside a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file that is either complete under its name or not there at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_name(path)
    try:
        with temporary.open("wb") as file:
            file.write(content)
            publish_file(file, temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def publish_file(file: BinaryIO, temporary: Path, path: Path) -> None:
    """Gives a file that is written under a temporary name its own, once its content is durable."""
    file.flush()
    os.fsync(file.fileno())
    temporary.replace(path)
    sync(path.parent)


def publish_folder(temporary: Path, folder: Path) -> None:
    """Gives a finished folder its own name; one that is there is moved aside first and then deleted.

    A kill between the two renames leaves the old one under OLD_MARK; an error puts it back.
    """
    for path in temporary.iterdir():
        sync(path)
    sync(temporary)
    aside = folder.with_name(f"{folder.name}{OLD_MARK}{uuid.uuid4().hex[:8]}")
    if folder.exists():
        folder.rename(aside)
    try:
        temporary.rename(folder)
    except OSError:
        if aside.exists():
            aside.rename(folder)
        raise
    sync(folder.parent)
    shutil.rmtree(aside, ignore_errors=True)
