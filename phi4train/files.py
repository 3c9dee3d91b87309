"""Files and folders that are complete under their name or not there at all; the only place that syncs."""

import os
import shutil
import uuid
from pathlib import Path
from typing import BinaryIO

TEMPORARY_MARK = ".tmp-"
"""In the name of whatever is not complete yet, or is about to go."""
OLD_MARK = f"{TEMPORARY_MARK}old-"
"""In the name of a folder that makes place for a new one of its name."""


def temporary_name(path: Path) -> Path:
    """A name beside `path` that no other write uses."""
    return path.with_name(f"{path.name}{TEMPORARY_MARK}{uuid.uuid4().hex[:8]}")


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
