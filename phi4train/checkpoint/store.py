"""Atomic, checksummed folders of safetensors and JSON files.

A folder is written under a temporary name beside its destination, every file is fsynced, `files.json`
with sizes and sha256 comes last, and a rename publishes it: it exists complete or not at all.
"""

import hashlib
import json
import shutil
import stat
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from phi4train.errors import CheckpointError
from phi4train.files import OLD_MARK, TEMPORARY_MARK, publish_folder, temporary_name
from phi4train.ranks import OneRank, Ranks

FILES_NAME = "files.json"
_MENDING = "check the disk and the file's permissions, or restore it from a copy"


def write_folder(
    destination: Path,
    tensors: Mapping[str, Mapping[str, Tensor]],
    documents: Mapping[str, Mapping[str, Any]],
    ranks: Ranks | None = None,
) -> None:
    """Publishes a folder with one `<name>.safetensors` and one `<name>.json` per entry, atomically.

    Replaces a folder that is there. Tensors are stored contiguous and from the CPU.

    Args:
        destination: seen by all ranks.
        tensors: of this rank, by names that no other rank has.
        documents: those of rank 0 are written.
        ranks: all of which call this; rank 0 publishes. None: there is one.

    Raises:
        CheckpointError: it could not be written (disk full, no permission); the old folder is untouched.
    """
    ranks = ranks or OneRank()
    temporary = ranks.from_first(lambda: temporary_name(destination))
    try:
        ranks.from_first(lambda: _begin_folder(temporary))
        parts = ranks.each(lambda: _write_tensors(temporary, tensors))
        entries = {name: entry for part in parts for name, entry in part.items()}
        ranks.from_first(lambda: _finish_folder(temporary, destination, entries, documents))
    except (OSError, SafetensorError) as error:
        if ranks.is_first:
            shutil.rmtree(temporary, ignore_errors=True)
        raise CheckpointError(
            f"{destination} must be writable with room for a full checkpoint · found {error} · "
            "free disk space or mend permissions, and go on with resume=auto; nothing half-written was "
            "published, and earlier checkpoints are untouched"
        ) from error


def _begin_folder(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / FILES_NAME).touch()


def _write_tensors(folder: Path, tensors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    """Writes `<name>.safetensors` files; returns what `files.json` says of them."""
    mode = stat.S_IMODE((folder / FILES_NAME).stat().st_mode)  # by the umask; safetensors writes 0600
    entries = {}
    for name, state in tensors.items():
        plain = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
        path = folder / f"{name}.safetensors"
        save_file(plain, str(path))
        path.chmod(mode)
        entries[path.name] = _entry(path)
    return entries


def _finish_folder(
    temporary: Path,
    destination: Path,
    entries: dict[str, Any],
    documents: Mapping[str, Mapping[str, Any]],
) -> None:
    """Adds the documents and `files.json`, and publishes."""
    for name, document in documents.items():
        path = temporary / f"{name}.json"
        path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
        entries[path.name] = _entry(path)
    (temporary / FILES_NAME).write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n")
    publish_folder(temporary, destination)


def _entry(path: Path) -> dict[str, Any]:
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def clean_up(folder: Path) -> None:
    """Deletes what killed writes left behind in `folder`; a folder that one had moved aside is put back."""
    for path in folder.glob(f"*{OLD_MARK}*"):
        destination = path.with_name(path.name.split(OLD_MARK)[0])
        if not destination.exists() and find_damage(path) is None:
            path.rename(destination)
    for path in folder.glob(f"*{TEMPORARY_MARK}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Hex sha256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def find_damage(folder: Path, hash_tensor_files: bool = True, must_list: Collection[str] = ()) -> str | None:
    """Returns what is wrong with a written folder, or None when every file has its recorded size and hash.

    Args:
        folder: as `write_folder` leaves it.
        hash_tensor_files: False: only the size of safetensors files is checked.
        must_list: names of files without which it is not whole.
    """
    try:
        entries = json.loads((folder / FILES_NAME).read_text())
    except (OSError, ValueError):
        return f"{FILES_NAME} is missing or unreadable"
    if not _is_file_list(entries):
        return f"{FILES_NAME} is no list of files with their bytes and sha256"
    for name in must_list:
        if name not in entries:
            return f"{FILES_NAME} does not list {name}"
    for name, entry in entries.items():
        path = folder / name
        hashed = hash_tensor_files or path.suffix != ".safetensors"
        try:
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != entry["bytes"]:
                return f"{name} has {path.stat().st_size} bytes instead of {entry['bytes']}"
            if hashed and file_sha256(path) != entry["sha256"]:
                return f"{name} does not match its sha256"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return None


def _is_file_list(entries: Any) -> bool:
    return isinstance(entries, dict) and all(
        isinstance(entry, dict) and entry.keys() == {"bytes", "sha256"} for entry in entries.values()
    )


def read_tensors(folder: Path, name: str) -> dict[str, Tensor]:
    """Tensors of `<name>.safetensors` in a verified folder, on the CPU."""
    try:
        tensors: dict[str, Tensor] = load_file(str(folder / f"{name}.safetensors"))
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder / name}.safetensors must be readable · found {error} · {_MENDING}"
        ) from error
    return tensors


def read_document(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object of `<name>.json` in a verified folder."""
    try:
        document: Any = json.loads((folder / f"{name}.json").read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(
            f"{folder / name}.json must be a readable JSON object · found {error} · {_MENDING}"
        ) from error
    if not isinstance(document, dict):
        raise CheckpointError(
            f"{folder / name}.json must be a JSON object · found {document!r:.40} · {_MENDING}"
        )
    return document
