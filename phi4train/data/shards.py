"""Shards: tar files of samples, written atomically and read by byte range, on disk or from a URL."""

import hashlib
import io
import json
import os
import tarfile
import weakref
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from phi4train.data.manifest import is_url
from phi4train.data.media import kind_of_extension, media_kinds
from phi4train.errors import ManifestError

_BLOCK = tarfile.BLOCKSIZE


class ShardWriter:
    """Writes samples into `<prefix>-<number>.tar`; use it as a context manager.

    The bytes depend on the samples alone (fixed times, owners and modes). A shard appears under its
    name only when it is complete: written under a temporary name, synced, renamed. When the block is
    left by an exception, the unfinished shard is removed.

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
        self._file: io.BufferedWriter | None = None
        self._written_bytes = 0
        self._keys: set[str] = set()
        prefix.parent.mkdir(parents=True, exist_ok=True)

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
                self._file = self._temporary_path.open("wb")
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
        return self._next_path.with_suffix(f".tar.tmp-{os.getpid()}")

    def _finish_shard(self) -> None:
        if self._file is None:
            return
        temporary, final = self._temporary_path, self._next_path
        try:
            self._file.write(b"\0" * 2 * _BLOCK)
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            temporary.replace(final)
            sync_folder(final.parent)
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
        f"shard {path} must be writable · {error.strerror or error} · free space or mend permissions, "
        "then build again; nothing was left half-written"
    )


def _check_key(key: str, known: set[str]) -> None:
    words = key.replace("-", "").replace("_", "").split("/")
    if not all(word.isascii() and word.isalnum() for word in words):
        raise ValueError(f"a key has letters, digits, '-', '_' and '/' between them · found {key!r}")
    if key in known:
        raise ValueError(f"a key is used once · found {key!r} twice")


def _check_media_name(name: str) -> None:
    stem, _, extension = name.rpartition(".")
    if not stem or "/" in name or kind_of_extension(extension) is None:
        known = sorted(known for kind in media_kinds() for known in kind.extensions)
        raise ValueError(f"a media name is <name>.<ext>, ext one of {known} · found {name!r}")


def _tar_member(name: str, content: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o644, 0
    padding = b"\0" * (-len(content) % _BLOCK)
    return member.tobuf(tarfile.PAX_FORMAT) + content + padding


def sync_folder(folder: Path) -> None:
    """Makes renames inside `folder` durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class ByteSource(Protocol):
    """Random access to the bytes of shards."""

    def size(self, location: str) -> int:
        """Size of a shard in bytes. Raises ManifestError when it cannot be reached."""

    def read(self, location: str, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`. Raises ManifestError when there are fewer."""


class LocalSource:
    """Shards on disk; keeps at most `max_open` files open."""

    def __init__(self, max_open: int = 64) -> None:
        self._max_open = max_open
        self._handles: OrderedDict[str, int] = OrderedDict()
        weakref.finalize(self, _close_all, self._handles)

    def __getstate__(self) -> dict[str, int]:
        return {"max_open": self._max_open}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.__init__(state["max_open"])  # type: ignore[misc]

    def size(self, location: str) -> int:
        """Size of a shard in bytes."""
        try:
            return Path(location).stat().st_size
        except OSError as error:
            raise _unreachable(location, error) from error

    def read(self, location: str, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`."""
        try:
            content = os.pread(self._handle(location), size, offset)
        except OSError as error:
            raise _unreachable(location, error) from error
        return _checked_read(location, offset, size, content)

    def _handle(self, location: str) -> int:
        if location in self._handles:
            self._handles.move_to_end(location)
            return self._handles[location]
        while len(self._handles) >= self._max_open:
            os.close(self._handles.popitem(last=False)[1])
        self._handles[location] = os.open(location, os.O_RDONLY | os.O_CLOEXEC)
        return self._handles[location]


def _close_all(handles: OrderedDict[str, int]) -> None:
    for handle in handles.values():
        os.close(handle)
    handles.clear()


class RemoteSource:
    """Shards behind a URL, fetched in chunks that stay in a bounded folder, least recently used out first.

    Chunks have hashes for names and appear by rename, so several processes may share the folder.

    Args:
        cache_dir: chunks go into its folder `chunks`, made when first needed.
        max_cache_bytes: the folder is trimmed to this after each fetch.
        chunk_bytes: unit of fetching.
    """

    def __init__(
        self, cache_dir: Path, max_cache_bytes: int = 16 * 2**30, chunk_bytes: int = 4 * 2**20
    ) -> None:
        self._cache_dir = cache_dir / "chunks"
        self._max_cache_bytes = max_cache_bytes
        self._chunk_bytes = chunk_bytes
        self._sizes: dict[str, int] = {}

    def size(self, location: str) -> int:
        """Size of a shard in bytes; asked for once."""
        if location not in self._sizes:
            file_system, path = _file_system(location)
            try:
                self._sizes[location] = int(file_system.size(path))
            except Exception as error:  # each fsspec back end raises its own
                raise _unreachable(location, error) from error
        return self._sizes[location]

    def read(self, location: str, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`."""
        if size == 0:
            return b""
        first, last = offset // self._chunk_bytes, (offset + size - 1) // self._chunk_bytes
        content = b"".join(self._chunk(location, number) for number in range(first, last + 1))
        begin = offset - first * self._chunk_bytes
        return _checked_read(location, offset, size, content[begin : begin + size])

    def _chunk(self, location: str, number: int) -> bytes:
        total = self.size(location)
        name = hashlib.sha256(f"{location}\n{total}\n{self._chunk_bytes}\n{number}".encode()).hexdigest()
        path = self._cache_dir / name
        start = number * self._chunk_bytes
        stop = min(start + self._chunk_bytes, total)
        try:
            content = path.read_bytes()
            os.utime(path)
        except FileNotFoundError:
            content = self._fetch(location, start, stop)
            write_atomically(path, content)
            self._trim()
        return _checked_read(location, start, max(stop - start, 0), content)

    def _fetch(self, location: str, start: int, stop: int) -> bytes:
        file_system, path = _file_system(location)
        try:
            content: bytes = file_system.cat_file(path, start=start, end=stop)
        except Exception as error:  # each fsspec back end raises its own
            raise _unreachable(location, error) from error
        return _checked_read(location, start, stop - start, content)

    def _trim(self) -> None:
        entries = []
        for path in self._cache_dir.iterdir():
            try:
                status = path.stat()
            except FileNotFoundError:  # another process trimmed it
                continue
            entries.append((status.st_mtime_ns, status.st_size, path))
        excess = sum(size for _, size, _ in entries) - self._max_cache_bytes
        for _, size, path in sorted(entries):
            if excess <= 0:
                return
            path.unlink(missing_ok=True)
            excess -= size


class ShardSource:
    """Local and remote shards behind one door."""

    def __init__(self, cache_dir: Path, max_cache_bytes: int = 16 * 2**30) -> None:
        self._local = LocalSource()
        self._remote = RemoteSource(cache_dir, max_cache_bytes)

    def size(self, location: str) -> int:
        """Size of a shard in bytes."""
        return self._of(location).size(location)

    def read(self, location: str, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`."""
        return self._of(location).read(location, offset, size)

    def _of(self, location: str) -> ByteSource:
        return self._remote if is_url(location) else self._local


def _file_system(location: str) -> tuple[Any, str]:
    import fsspec

    assert is_url(location)
    try:
        file_system, path = fsspec.core.url_to_fs(location)
    except ImportError as error:
        raise ManifestError(
            f"shard {location} needs its fsspec back end · {error} · install it (aiohttp, s3fs or gcsfs)"
        ) from error
    return file_system, path


def _checked_read(location: str, offset: int, size: int, content: bytes) -> bytes:
    if len(content) != size:
        raise ManifestError(
            f"shard {location} must have {size} bytes at {offset} · found {len(content)}: it is truncated or "
            "changed · restore it, or index it again with `phi4train data index`"
        )
    return content


def _unreachable(location: str, error: Exception) -> ManifestError:
    return ManifestError(f"shard {location} must be readable · {error} · check the path, access and network")


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file that is either complete under its name or not there at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
