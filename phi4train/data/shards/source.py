"""The bytes of shards by range, on disk or from a URL with a bounded cache."""

import hashlib
import os
import resource
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Any, Protocol

from phi4train.data.shards.manifest import is_url
from phi4train.errors import ManifestError
from phi4train.files import write_atomically


class ByteSource(Protocol):
    """Random access to the bytes of shards."""

    def size(self, location: str) -> int:
        """Size of a shard in bytes. Raises ManifestError when it cannot be reached."""

    def read(self, location: str, offset: int, size: int) -> bytes:
        """Exactly `size` bytes from `offset`. Raises ManifestError when there are fewer."""


class LocalSource:
    """Shards on disk; keeps at most `max_open` files open, and a small part of what the process may have."""

    def __init__(self, max_open: int = 64) -> None:
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._max_open = min(max_open, max(allowed // 16, 2))  # a run has several sources
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
            f"shard {location} must have its fsspec back end installed · found that it is not ({error}) · "
            "install aiohttp for http, s3fs for s3, gcsfs for gs"
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
    return ManifestError(
        f"shard {location} must be readable · found {error} · check the path, access and network"
    )
