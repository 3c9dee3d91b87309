"""Writes samples into tar shards, each of which is complete or not there."""

import glob
import json
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from phi4train.data.media.registry import kind_of_extension, media_kinds
from phi4train.errors import ManifestError
from phi4train.files import TEMPORARY_MARK, open_claimed, publish_file, remove_dead

_BLOCK = tarfile.BLOCKSIZE


class ShardWriter:
    """Writes samples into `<prefix>-<number>.tar`; use it as a context manager.

    The bytes depend on the samples alone (fixed times, owners and modes). A shard appears under its
    name only when it is complete: written under a temporary name, synced, renamed. When the block is
    left by an exception, the unfinished shard is removed; what killed writers left goes when the next begins.

    Args:
        prefix: folder and beginning of the shards' names.
        max_shard_bytes: a shard is closed before it would grow beyond this (one sample always fits).

    Raises:
        ManifestError: the disk is full or not writable.
    """

    def __init__(self, prefix: Path, max_shard_bytes: int = 256 * 2**20) -> None:
        self.shards: list[Path] = []
        """Complete shards, in order."""
        self._prefix = prefix
        self._max_shard_bytes = max_shard_bytes
        self._file: BinaryIO | None = None
        self._written_bytes = 0
        self._keys: set[str] = set()
        prefix.parent.mkdir(parents=True, exist_ok=True)
        remove_dead(prefix.parent.glob(f"{glob.escape(prefix.name)}-[0-9]*.tar{TEMPORARY_MARK}*"))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._finish_shard()
        else:
            self._discard_shard()

    def write(self, key: str, record: Mapping[str, Any], media: Mapping[str, bytes] | None = None) -> None:
        """Appends a sample.

        Args:
            key: unique in the writer; letters, digits, `-`, `_` and `/` between them.
            record: the JSON member (see records.py).
            media: content of each media member by `<name>.<ext>`.

        Raises:
            ValueError: the key or a media name is not usable as a member name.
        """
        _check_key(key, self._keys)
        members = {f"{key}.json": json.dumps(record, ensure_ascii=False, sort_keys=True).encode()}
        for name, content in sorted((media or {}).items()):
            _check_media_name(name)
            members[f"{key}.{name}"] = content
        packed = b"".join(_tar_member(name, content) for name, content in members.items())
        if self._file is not None and self._written_bytes + len(packed) + 2 * _BLOCK > self._max_shard_bytes:
            self._finish_shard()
        try:
            if self._file is None:
                self._file = open_claimed(self._temporary_path)
            self._file.write(packed)
        except OSError as error:
            self._discard_shard()
            raise _write_error(self._next_path, error) from error
        self._written_bytes += len(packed)
        self._keys.add(key)

    @property
    def _next_path(self) -> Path:
        return self._prefix.with_name(f"{self._prefix.name}-{len(self.shards):06d}.tar")

    @property
    def _temporary_path(self) -> Path:
        return self._next_path.with_suffix(f".tar{TEMPORARY_MARK}{os.getpid()}")

    def _finish_shard(self) -> None:
        if self._file is None:
            return
        final = self._next_path
        try:
            self._file.write(b"\0" * 2 * _BLOCK)
            publish_file(self._file, self._temporary_path, final)
            self._file.close()
        except OSError as error:
            self._discard_shard()
            raise _write_error(final, error) from error
        self.shards.append(final)
        self._file, self._written_bytes = None, 0

    def _discard_shard(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            file.close()
        except OSError:  # the flush of a full disk fails again; the file goes anyway
            pass
        finally:
            self._temporary_path.unlink(missing_ok=True)


def _write_error(path: Path, error: OSError) -> ManifestError:
    return ManifestError(
        f"shard {path} must be writable · found {error.strerror or error} · free space or mend permissions, "
        "then build again; nothing was left half-written"
    )


def _check_key(key: str, known: set[str]) -> None:
    words = key.replace("-", "").replace("_", "").split("/")
    if not all(word.isascii() and word.isalnum() for word in words):
        raise ValueError(
            f"a key must have letters, digits, '-', '_' and '/' between them · found {key!r} · rename it"
        )
    if key in known:
        raise ValueError(f"a key must be used once · found {key!r} twice · rename one")


def _check_media_name(name: str) -> None:
    stem, _, extension = name.rpartition(".")
    if not stem or "/" in name or kind_of_extension(extension) is None:
        known = sorted(known for kind in media_kinds() for known in kind.extensions)
        raise ValueError(
            f"a media name must be <name>.<ext>, ext one of {known} · found {name!r} · rename it"
        )


def _tar_member(name: str, content: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o644, 0
    padding = b"\0" * (-len(content) % _BLOCK)
    return member.tobuf(tarfile.PAX_FORMAT) + content + padding
