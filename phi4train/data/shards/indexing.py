"""Building a shard's index: the tar is read once from front to end, and nothing in it is trusted."""

import hashlib
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from phi4train.data.media.registry import kind_of_extension, media_kind
from phi4train.data.samples.prompts import CHAT_TEMPLATE_VERSION, encode_sample
from phi4train.data.samples.records import (
    RECORD_VERSION,
    MediaPart,
    Sample,
    VideoPart,
    media_of,
    parse_sample,
)
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.index import INDEX_VERSION, IndexSummary, index_folder, probe_shard, write_index
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.tables import MAX_BRANCHES, MEDIA_DTYPE, RECORD_SHAPES, SAMPLE_DTYPE
from phi4train.errors import ManifestError, SampleError

MAX_RECORD_BYTES = 64 * 2**20
"""Largest JSON member."""
MAX_MEDIA_BYTES = 512 * 2**20
"""Largest media member."""
MAX_MEDIA_PER_SAMPLE = 1024
_MAX_LISTED_PROBLEMS = 20
_READ_BYTES = 4 * 2**20


def build_index(
    location: str, name: str, tokenizer: Tokenizer, source: ShardSource, cache_dir: Path
) -> IndexSummary:
    """Reads a shard once and writes its index.

    Samples that cannot be trained on are recorded with their cause. What makes the shard itself
    doubtful is refused.

    Args:
        location: path or URL of the shard.
        name: the shard as messages should call it.

    Raises:
        ManifestError: the shard is truncated or corrupt, or has hostile, duplicated, oversized or
            unknown members; every such member is named.
    """
    reader = _ForwardReader(source, location)
    tables = _Tables(tokenizer)
    for group in _read_groups(name, reader):
        tables.add(group)
    summary = tables.summary(reader)
    write_index(index_folder(location, cache_dir), summary, *tables.arrays())
    return summary


@dataclass
class _Member:
    offset: int
    content: bytes


@dataclass
class _Group:
    """Members that share a key, adjacent in the shard."""

    key: str
    record: _Member | None = None
    media: dict[str, _Member] = field(default_factory=dict)


def _read_groups(name: str, reader: "_ForwardReader") -> Iterator[_Group]:
    """Samples in the order of the shard; checks member names, kinds and sizes, and the tar's end."""
    problems: list[str] = []
    seen_names: set[str] = set()
    closed_keys: set[str] = set()
    group: _Group | None = None
    end = 0
    try:
        with tarfile.open(fileobj=reader, mode="r:") as archive:  # type: ignore[call-overload]
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
                    group = _Group(key)
                content = _Member(member.offset_data, archive.extractfile(member).read())
                if suffix == "json":
                    group.record = content
                else:
                    group.media[suffix] = content
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:  # hostile headers raise any
        raise _corrupt(name, reader.position, str(error)) from error
    if problems:
        raise _member_error(name, problems)
    reader.drain()
    if reader.last_nonzero > end or reader.position < end + 2 * tarfile.BLOCKSIZE:
        raise _corrupt(name, end, "the tar's end marker is missing")
    if group is not None:
        yield group


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
        f"shard {name} must hold only <key>.json and <key>.<name>.<ext> members, each once · found "
        f"{len(problems)} to refuse · build the shard again without these, or leave it out:\n"
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
    if not member.name.isprintable():
        return "its name has control characters"
    if _is_hostile(member.name):
        return "its name is absolute or has '..'"
    if member.name in seen:
        return "it is there twice"
    key, suffix = _split_name(member.name)
    if not key or key.endswith("/"):
        return "its name has no key"
    limit_bytes = _limit_bytes(suffix)
    if limit_bytes is None:
        return "its extension is unknown"
    return "it is too large" if member.size > limit_bytes else None


def _is_hostile(name: str) -> bool:
    return name.startswith(("/", "\\", "~")) or "\\" in name or ".." in name.split("/") or ":" in name


def _limit_bytes(suffix: str) -> int | None:
    """Most bytes of a member with this suffix, or None when the suffix is unknown."""
    if suffix == "json":
        return MAX_RECORD_BYTES
    stem, _, extension = suffix.rpartition(".")
    return MAX_MEDIA_BYTES if stem and kind_of_extension(extension) is not None else None


class _ForwardReader:
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
        if size > MAX_MEDIA_BYTES:
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


_Row = dict[str, Any]
"""Values of SAMPLE_DTYPE by column; what is missing is 0."""


class _Tables:
    """Rows of the index under construction."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._samples: list[_Row] = []
        self._media: list[tuple[float, ...]] = []
        self._keys: list[str] = []
        self._key_end = 0
        self._tasks: dict[str, int] = {}
        self._causes: dict[str, int] = {}
        self._modes: dict[str, int] = {}
        self._kinds: dict[str, int] = {}
        self._unused = 0

    def add(self, group: _Group) -> None:
        """Adds a sample, usable or not."""
        self._keys.append(group.key)
        self._key_end += len(group.key.encode())
        record = group.record or _Member(0, b"")
        row: _Row = {"offset": record.offset, "size": len(record.content), "key_end": self._key_end}
        try:
            row |= self._measured(group)
        except SampleError as error:
            row["cause"] = 1 + self._causes.setdefault(error.cause, len(self._causes))
        self._samples.append(row)

    def _measured(self, group: _Group) -> _Row:
        if group.record is None:
            raise SampleError(
                "no_record",
                f"sample {group.key} must have a JSON member · found media only · add {group.key}.json, or "
                "leave the media out",
            )
        sample = parse_sample(group.key, group.record.content)
        branches = encode_sample(sample, self._tokenizer, [0] * len(sample.media))
        media = _media_rows(sample, group)
        row: _Row = {
            "media_start": len(self._media),
            "media_count": len(media),
            "shape": RECORD_SHAPES.index(sample.shape),
            "mode": self._modes.setdefault(sample.mode, len(self._modes)),
            "task": self._tasks.setdefault(sample.task, len(self._tasks)),
            "branches": len(branches),
            "text_tokens": _of_each([len(branch.input_ids) for branch in branches]),
            "target_tokens": _of_each([branch.num_targets for branch in branches]),
        }
        kinds = [self._kinds.setdefault(part.kind, len(self._kinds)) for part in sample.media]
        self._media += [(kind, *row) for kind, row in zip(kinds, media, strict=True)]
        self._unused += len(group.media.keys() - {part.member for part in sample.media})
        return row

    def arrays(self) -> tuple[Any, Any, list[str]]:
        """Samples, media and keys as the index stores them."""
        samples = np.zeros(len(self._samples), dtype=SAMPLE_DTYPE)
        for name in SAMPLE_DTYPE.names or ():
            blank = np.zeros(SAMPLE_DTYPE[name].shape, dtype=np.int64).tolist()
            samples[name] = [row.get(name, blank) for row in self._samples]
        return samples, np.array(self._media, dtype=MEDIA_DTYPE), self._keys

    def summary(self, reader: _ForwardReader) -> IndexSummary:
        """What `index.json` will say."""
        return IndexSummary(
            version=INDEX_VERSION,
            shard_bytes=reader.size,
            shard_sha256=reader.sha256(),
            shard_probe=reader.probe(),
            tokenizer_fingerprint=self._tokenizer.fingerprint,
            chat_template_version=CHAT_TEMPLATE_VERSION,
            record_version=RECORD_VERSION,
            num_samples=len(self._samples),
            num_bad=sum("cause" in row for row in self._samples),
            text_tokens=self._total("text_tokens"),
            target_tokens=self._total("target_tokens"),
            unused_members=self._unused,
            tasks=tuple(self._tasks),
            causes=tuple(self._causes),
            modes=tuple(self._modes),
            media_kinds=tuple(self._kinds),
        )

    def _total(self, column: str) -> int:
        return sum(int(np.sum(row.get(column, 0))) for row in self._samples)


def _of_each(values: Sequence[int]) -> tuple[int, ...]:
    """The values of a sample's branches as a column stores them."""
    return (*values, *(0 for _ in range(MAX_BRANCHES - len(values))))


def _media_rows(sample: Sample, group: _Group) -> list[tuple[float, ...]]:
    """One row per mention, so that row i belongs to `sample.media[i]`; all columns but the kind."""
    if len(sample.media) > MAX_MEDIA_PER_SAMPLE:
        raise SampleError(
            "too_many_media",
            f"a sample must have at most {MAX_MEDIA_PER_SAMPLE} media · found {len(sample.media)} · split "
            "it, or leave frames out",
        )
    rows: list[tuple[float, ...]] = []
    num_videos = 0
    for part in (part for turn in sample.turns for part in turn.parts):
        video = (0, 0.0)
        if isinstance(part, VideoPart):
            num_videos += 1
            video = (num_videos, part.fps or 0.0)
        rows += [(*_media_row(medium, sample.key, group), *video) for medium in media_of(part)]
    return rows


def _media_row(medium: MediaPart, key: str, group: _Group) -> tuple[int, ...]:
    """Offset, size and MediaSize of one medium."""
    if medium.member not in group.media:
        raise SampleError(
            "missing_media",
            f"sample {key} must have the media that it names · found no {key}.{medium.member} · add the "
            "member, or mend the record",
        )
    member = group.media[medium.member]
    size = media_kind(medium.kind).measure(member.content)
    return member.offset, len(member.content), *size
