"""Array files of an index: written with their checksums, and mapped only when they are what was written."""

import hashlib
import io
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phi4train.data.media.kind import Rows


class DamagedArrayError(Exception):
    """An array file is not what was written; says in words what was found."""


@dataclass(frozen=True)
class ArrayFile:
    """What an index records of a file in which it keeps an array.

    Args:
        num_bytes: of the file, its header too.
        sha256: of all of them.
    """

    num_bytes: int
    sha256: str


def write_array(path: Path, array: Rows) -> ArrayFile:
    """Saves an array as .npy and tells what to know it by."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    content = buffer.getvalue()
    path.write_bytes(content)
    return ArrayFile(len(content), hashlib.sha256(content).hexdigest())


def require_size(path: Path, file: ArrayFile) -> None:
    """The check that is cheap enough for every file when a mixture is opened.

    Raises:
        DamagedArrayError: the file is missing, or longer or shorter than it was.
    """
    _status_of(path, file)


class MappedArrays:
    """Memory-mapped array files, each compared with its checksum by the first look of this process.

    The least recently used are unmapped beyond `max_mapped`. Maps hold no file open, as those of numpy do,
    of which a process may have a thousand.
    """

    def __init__(self, max_mapped: int = 4096) -> None:
        self._max_mapped = max_mapped
        self._arrays: OrderedDict[tuple[str, str], Rows] = OrderedDict()
        self._checked: dict[tuple[str, str], tuple[int, int]] = {}  # which file was: inode and time of change

    def __getstate__(self) -> dict[str, Any]:
        return {"_max_mapped": self._max_mapped, "_arrays": OrderedDict(), "_checked": {}}

    def load(self, folder: Path, name: str, file: ArrayFile, dtype: np.dtype[Any]) -> Rows:
        """The one-dimensional array in `folder/name`, read-only.

        Raises:
            DamagedArrayError: the file is not what was written.
        """
        place = (str(folder), name)
        if place not in self._arrays:
            if len(self._arrays) >= self._max_mapped:
                self._arrays.popitem(last=False)
            self._arrays[place] = self._map(place, file, dtype)
        self._arrays.move_to_end(place)
        return self._arrays[place]

    def _map(self, place: tuple[str, str], file: ArrayFile, dtype: np.dtype[Any]) -> Rows:
        path = Path(*place)
        status = _status_of(path, file)
        try:
            content = torch.from_file(str(path), shared=False, size=file.num_bytes, dtype=torch.uint8).numpy()
        except RuntimeError as error:
            raise DamagedArrayError(f"it cannot be mapped: {str(error).splitlines()[0]}") from error
        content.flags.writeable = False
        if self._checked.get(place) != status:
            if hashlib.sha256(content.data).hexdigest() != file.sha256:
                raise DamagedArrayError("bytes that are not those that were written")
            self._checked[place] = status
        return content[_header_bytes(content) :].view(dtype)


def _status_of(path: Path, file: ArrayFile) -> tuple[int, int]:
    """Inode and time of change of a file of the right size."""
    try:
        status = path.stat()
    except OSError as error:
        raise DamagedArrayError(error.strerror or str(error)) from error
    if status.st_size != file.num_bytes:
        raise DamagedArrayError(f"{status.st_size} bytes in place of {file.num_bytes}")
    return status.st_ino, status.st_mtime_ns


def _header_bytes(content: Rows) -> int:
    """Length of the header of a .npy file of version 1.0."""
    return 10 + int.from_bytes(content[8:10].tobytes(), "little")
