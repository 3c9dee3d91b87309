"""Building a shard's index: the tar is read once from front to end, and nothing in it is trusted."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from phi4train.data.media.registry import media_kind
from phi4train.data.samples.prompts import CHAT_TEMPLATE_VERSION, encode_sample
from phi4train.data.samples.records import (
    RECORD_VERSION,
    MediaPart,
    Sample,
    VideoPart,
    media_of,
    parse_sample,
)
from phi4train.data.samples.spellings import SpellingCounts
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.index import INDEX_VERSION, IndexSummary, index_folder, write_index
from phi4train.data.shards.members import MAX_RECORD_BYTES, ForwardReader, Group, Member, read_groups
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.tables import MAX_BRANCHES, MAX_TASKS, MEDIA_DTYPE, RECORD_SHAPES, SAMPLE_DTYPE
from phi4train.errors import SampleError

MAX_MEDIA_PER_SAMPLE = 1024
_MAX_EXAMPLES, _MAX_MESSAGE = 3, 400


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
    reader = ForwardReader(source, location)
    tables = _Tables(tokenizer)
    for group in read_groups(name, reader):
        tables.add(group)
    summary = tables.summary(reader)
    write_index(index_folder(location, cache_dir), summary, *tables.arrays())
    return summary


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
        self._counts: Counter[int] = Counter()  # by cause
        self._examples: list[tuple[int, str]] = []
        self._spellings = SpellingCounts()
        self._unused = 0

    def add(self, group: Group) -> None:
        """Adds a sample, usable or not."""
        self._keys.append(group.key)
        self._key_end += len(group.key.encode())
        record = group.record or Member(0, 0, b"")
        row: _Row = {"offset": record.offset, "size": len(record.content), "key_end": self._key_end}
        try:
            row |= self._measured(group)
        except SampleError as error:
            row["cause"] = 1 + self._causes.setdefault(error.cause, len(self._causes))
            self._remember(error, row["cause"])
        self._samples.append(row)

    def _remember(self, error: SampleError, cause: int) -> None:
        """Keeps the words of the first samples of each cause."""
        self._counts[cause] += 1
        if self._counts[cause] <= _MAX_EXAMPLES:
            self._examples.append((len(self._samples), str(error)[:_MAX_MESSAGE]))

    def _measured(self, group: Group) -> _Row:
        sample = _parsed(group)
        branches = encode_sample(sample, self._tokenizer, [0] * len(sample.media))
        media = _media_rows(sample, group)
        if len(self._tasks) == MAX_TASKS and sample.task not in self._tasks:
            raise SampleError(
                "too_many_tasks",
                f"the samples of a shard must have at most {MAX_TASKS} different tasks · found "
                f"'{sample.task}' beyond them · name what kind of task it is, the rest goes into meta",
            )
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
        used = {id(group.find(part.member)) for part in sample.media}
        self._unused += sum(id(member) not in used for member in group.media.values())
        self._spellings.add(len(self._samples), sample)
        return row

    def arrays(self) -> tuple[Any, Any, list[str]]:
        """Samples, media and keys as the index stores them."""
        samples = np.zeros(len(self._samples), dtype=SAMPLE_DTYPE)
        for name in (SAMPLE_DTYPE.names or ()) if self._samples else ():
            blank = np.zeros(SAMPLE_DTYPE[name].shape, dtype=np.int64).tolist()
            samples[name] = [row.get(name, blank) for row in self._samples]
        return samples, np.array(self._media, dtype=MEDIA_DTYPE), self._keys

    def summary(self, reader: ForwardReader) -> IndexSummary:
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
            examples=tuple(self._examples),
            spelled_samples=self._spellings.num_samples,
            spellings=self._spellings.counted(),
        )

    def _total(self, column: str) -> int:
        return sum(int(np.sum(row.get(column, 0))) for row in self._samples)


def _parsed(group: Group) -> Sample:
    """The sample of a group with a record that may be read."""
    if group.record is None:
        raise SampleError(
            "no_record",
            f"sample {group.key} must have a JSON member · found media only · add {group.key}.json, or "
            "leave the media out",
        )
    if group.record.size > MAX_RECORD_BYTES:
        raise SampleError(
            "record_too_large",
            f"the JSON member of a sample must have at most {MAX_RECORD_BYTES:,} bytes · found "
            f"{group.record.size:,} · split the sample",
        )
    return parse_sample(group.key, group.record.content)


def _of_each(values: Sequence[int]) -> tuple[int, ...]:
    """The values of a sample's branches as a column stores them."""
    return (*values, *(0 for _ in range(MAX_BRANCHES - len(values))))


def _media_rows(sample: Sample, group: Group) -> list[tuple[float, ...]]:
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


def _media_row(medium: MediaPart, key: str, group: Group) -> tuple[int, ...]:
    """Offset, size and MediaSize of one medium."""
    member = group.find(medium.member)
    if member is None:
        there = ", ".join(f"{key}.{name}" for name in sorted(group.media)[:3])
        raise SampleError(
            "missing_media",
            f"sample {key} must have the media that it names · found no {key}.{medium.member:.80}"
            f"{f', but {there}' if there else ''} · add the member, or mend the record",
        )
    size = media_kind(medium.kind).measure(member.content)
    return member.offset, member.size, *size
