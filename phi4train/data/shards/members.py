"""The members of a shard, read once from front to end and gathered into samples; nothing in it is trusted."""

import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Self

from phi4train.data.media.registry import kind_of_extension
from phi4train.data.shards.index import probe_shard
from phi4train.data.shards.source import ShardSource
from phi4train.errors import ManifestError

MAX_RECORD_BYTES = 4 * 2**20
"""Largest JSON member of a sample that is used: small tokenizers take 250 times the memory of its text."""
MAX_MEDIA_BYTES = 512 * 2**20
"""Largest media member."""
MAX_NAME_BYTES = 1024
"""Longest name of a member."""
_MAX_EXTENSION_BYTES = 64 * 2**10  # of a header that carries a long name or the like
_MAX_LISTED_PROBLEMS = 20
_READ_BYTES = 4 * 2**20
_MOST_READ_BYTES = MAX_MEDIA_BYTES  # at once


@dataclass(frozen=True)
class Member:
    """A file of a shard.

    Args:
        offset: of its content in the shard, bytes.
        size: of its content, bytes.
        content: nothing of a record beyond MAX_RECORD_BYTES.
    """

    offset: int
    size: int
    content: bytes


@dataclass
class Group:
    """Members that share a key, adjacent in the shard.

    Args:
        media: by what follows the key and its dot.
    """

    key: str
    record: Member | None = None
    media: dict[str, Member] = field(default_factory=dict)

    def add(self, suffix: str, member: Member) -> None:
        """Adds the member `<key>.<suffix>`."""
        if suffix == "json":
            self.record = member
        else:
            self.media[suffix] = member

    def find(self, name: str) -> Member | None:
        """The medium that a record calls `name`: `<key>.<name>`, or `<key>.<ext>` by its whole name."""
        _, _, file_name = self.key.rpartition("/")
        stem, _, extension = name.rpartition(".")
        by_its_whole_name = extension if stem == file_name else name
        return self.media.get(name) or self.media.get(by_its_whole_name)


def read_groups(name: str, reader: "ForwardReader") -> Iterator[Group]:
    """Samples in the order of the shard; checks member names, kinds and sizes, and the tar's end.

    Raises:
        ManifestError: see `build_index`.
    """
    problems: list[str] = []
    seen_names: set[str] = set()
    closed_keys: set[str] = set()
    group: Group | None = None
    end = 0
    try:
        with tarfile.open(fileobj=reader, mode="r:", tarinfo=_Header) as archive:  # type: ignore[call-overload]
            for member in archive:
                archive.members = []  # otherwise tarfile keeps every header
                end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if member.isdir():
                    continue
                problem = _member_problem(member, seen_names)
                if problem:
                    problems.append(f"  {member.name[:120]!r}: {problem}")
                    continue
                key, suffix = _split_name(member.name)
                seen_names.add(member.name)
                if group is None or group.key != key:
                    if key in closed_keys:
                        problems.append(f"  {member.name!r}: its sample '{key}' was closed before")
                        continue
                    if group is not None:
                        closed_keys.add(group.key)
                        yield group
                    group = Group(key)
                is_read = suffix != "json" or member.size <= MAX_RECORD_BYTES
                content = archive.extractfile(member).read() if is_read else b""
                group.add(suffix, Member(member.offset_data, member.size, content))
    except RecursionError as error:
        raise _corrupt(name, reader.position, "its headers are chained too deeply") from error
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:  # hostile headers raise any
        raise _corrupt(name, reader.position, str(error)) from error
    if problems:
        raise _member_error(name, problems)
    reader.drain()
    if reader.last_nonzero > end or reader.position < end + 2 * tarfile.BLOCKSIZE:
        raise _corrupt(name, end, "the tar's end marker is missing")
    if group is not None:
        yield group


class _Header(tarfile.TarInfo):
    """A header whose long name, where it has one, is not longer than the memory for it may be."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """The header in a block."""
        header = super().frombuf(buf, encoding, errors)
        if not header.isreg() and header.size > _MAX_EXTENSION_BYTES:
            raise tarfile.ReadError(f"a header of {header.size} bytes, more than {_MAX_EXTENSION_BYTES}")
        return header


def _corrupt(name: str, position: int, reason: str) -> ManifestError:
    return ManifestError(
        f"shard {name} must be a complete tar · found it truncated or corrupt near byte {position}: {reason} "
        "· restore or rebuild it, then index it again"
    )


def _member_error(name: str, problems: list[str]) -> ManifestError:
    listed = problems[:_MAX_LISTED_PROBLEMS]
    if len(problems) > len(listed):
        listed.append(f"  and {len(problems) - len(listed)} more")
    return ManifestError(
        f"shard {name} must hold only <key>.json, <key>.<name>.<ext> and <key>.<ext> members, each once · "
        f"found {len(problems)} to refuse · build the shard again without these, or leave it out:\n"
        + "\n".join(listed)
    )


def _split_name(member_name: str) -> tuple[str, str]:
    """(key, suffix) as webdataset splits them: the key ends at the first dot of the last path part."""
    folder, slash, file_name = member_name.removeprefix("./").rpartition("/")
    stem, _, suffix = file_name.partition(".")
    return folder + slash + stem, suffix


def _member_problem(member: tarfile.TarInfo, seen: set[str]) -> str | None:
    """Why a member is refused, or None."""
    if not member.isreg() or member.issparse():
        return "not a regular file"
    if len(member.name.encode(errors="replace")) > MAX_NAME_BYTES:
        return f"its name is longer than {MAX_NAME_BYTES} bytes"
    if not member.name.isprintable():
        return "its name has control characters"
    if _is_hostile(member.name):
        return "its name is absolute or has '..'"
    if member.name in seen:
        return "it is there twice"
    key, suffix = _split_name(member.name)
    if not key or key.endswith("/"):
        return "its name has no key: it begins with a dot"
    if suffix == "json":
        return None
    if kind_of_extension(suffix.rpartition(".")[2]) is None:
        return "its extension is unknown"
    if member.size > MAX_MEDIA_BYTES:
        return f"it has {member.size} bytes, and media may have {MAX_MEDIA_BYTES}"
    return None


def _is_hostile(name: str) -> bool:
    return name.startswith(("/", "\\", "~")) or "\\" in name or ".." in name.split("/") or ":" in name


class ForwardReader:
    """A shard as a file that is read once, front to end, and hashed on the way, as tarfile does."""

    def __init__(self, source: ShardSource, location: str) -> None:
        self._source = source
        self._location = location
        self._hash = hashlib.sha256()
        self._buffer = b""
        self._used = 0  # bytes of the buffer already handed out
        self._fetched = 0
        self.size = source.size(location)
        self.position = 0
        self.last_nonzero = 0

    def tell(self) -> int:
        """Bytes consumed so far."""
        return self.position

    def seek(self, position: int) -> None:
        """Skips forward; the skipped bytes are hashed too."""
        if position < self.position:
            raise tarfile.ReadError("a header leads backwards")
        while self.position < position:
            if not self.read(min(position - self.position, _READ_BYTES)):
                return

    def read(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end."""
        if size > _MOST_READ_BYTES:
            raise tarfile.ReadError(f"a header asks for {size} bytes")
        parts, missing = [], size
        while missing:
            if self._used == len(self._buffer):
                self._buffer, self._used = self._fetch(), 0
                if not self._buffer:
                    break
            part = self._buffer[self._used : self._used + missing]
            self._used += len(part)
            parts.append(part)
            missing -= len(part)
        content = b"".join(parts)
        stripped = content.rstrip(b"\0")
        if stripped:
            self.last_nonzero = self.position + len(stripped)
        self.position += len(content)
        return content

    def drain(self) -> None:
        """Reads to the end."""
        while self.read(_READ_BYTES):
            pass

    def sha256(self) -> str:
        """Of everything read."""
        return self._hash.hexdigest()

    def probe(self) -> str:
        """What a run will compare the shard with."""
        return probe_shard(self._source, self._location)

    def _fetch(self) -> bytes:
        content = self._source.read(
            self._location, self._fetched, min(_READ_BYTES, self.size - self._fetched)
        )
        self._fetched += len(content)
        self._hash.update(content)
        return content
