"""Mixtures: the indexes of all shards of a manifest, side by side, and the fingerprint of that data."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from phi4train.data.commands import index_command
from phi4train.data.media.kind import Rows
from phi4train.data.media.limits import Limits
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.arrays import MappedArrays
from phi4train.data.shards.index import ShardIndex, clear_leftovers, index_folder, load_index
from phi4train.data.shards.indexing import build_index
from phi4train.data.shards.manifest import Manifest, ShardRef, expand_shards
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.tables import MAX_TASKS, SampleTable
from phi4train.errors import ManifestError, few

CHECKED_BYTES = 2 * 2**30
"""Most bytes of indexes that are read when a mixture is opened: a second or two."""


@dataclass(frozen=True)
class MixtureSource:
    """One source: its share of the mixture, the tables of its shards, and its own limit if it has one."""

    name: str
    weight: float
    tables: Sequence[SampleTable]
    max_audio_seconds: float | None = None

    @property
    def num_samples(self) -> int:
        """Samples over all shards, unusable ones included."""
        return sum(table.num_samples for table in self.tables)

    def limits(self, common: Limits) -> Limits:
        """What a sample of this source may measure, from the limits of the recipe."""
        if self.max_audio_seconds is None or self.max_audio_seconds >= common.max_audio_seconds:
            return common
        return replace(common, max_audio_seconds=self.max_audio_seconds)


@dataclass(frozen=True)
class ArrayTable:
    """Rows in memory: a synthetic shard, for planning without data."""

    samples: Rows
    media: Rows
    causes: tuple[str, ...] = ()
    media_kinds: tuple[str, ...] = ()

    @property
    def num_samples(self) -> int:
        """Rows of `samples`."""
        return len(self.samples)


@dataclass(frozen=True)
class Mixture:
    """A manifest with the opened indexes of its shards.

    Args:
        sources: the sources with a positive weight.
        shards: indexes by (source, shard).
        fingerprint: sha256 over what the manifest mixes: names, weights, shards' contents, tokenizer.
        index_command: indexes its shards that have no index that fits.
    """

    manifest: Manifest
    sources: tuple[MixtureSource, ...]
    shards: tuple[tuple[ShardIndex, ...], ...]
    fingerprint: str
    index_command: str


def index_manifest(
    manifest: Manifest, data_root: Path, cache_dir: Path, tokenizer: Tokenizer, rebuild: bool = False
) -> list[str]:
    """Indexes every shard whose index is missing, stale or damaged; returns their names.

    Several processes may do so at once. What a killed one has left of an index goes.

    Args:
        rebuild: indexes all of them.

    Raises:
        ManifestError: a shard is missing, truncated or refused.
    """
    source, done = ShardSource(cache_dir), []
    refs = [ref for part in manifest.sources for ref in expand_shards(part, manifest, data_root)]
    clear_leftovers(index_folder(ref.location, cache_dir) for ref in refs)
    for ref in refs:
        if rebuild or not _is_indexed(ref, cache_dir, tokenizer, source):
            build_index(ref.location, ref.name, tokenizer, source, cache_dir)
            done.append(ref.name)
    return done


def _is_indexed(ref: ShardRef, cache_dir: Path, tokenizer: Tokenizer, source: ShardSource) -> bool:
    """Whether a shard has an index that is its own and whole."""
    folder = index_folder(ref.location, cache_dir)
    try:
        fingerprint = tokenizer.fingerprint
        index = load_index(ref.location, ref.name, folder, fingerprint, source, MappedArrays(), command="")
        index.check_arrays()
    except ManifestError:
        return False
    return True


def open_mixture(manifest: Manifest, data_root: Path, cache_dir: Path, tokenizer: Tokenizer) -> Mixture:
    """The indexes of a manifest's shards, compared with them by size and a probe (`data check` compares all).

    Up to CHECKED_BYTES of indexes are compared with their checksums, too; of a larger mixture each is when
    it is first read.

    Raises:
        ManifestError: a shard or an index is missing, stale or damaged, or a source has no samples.
    """
    source, arrays = ShardSource(cache_dir), MappedArrays()
    command = index_command(manifest.reference, data_root, manifest.asked)
    problems: list[str] = []
    opened: list[tuple[ShardIndex, ...]] = []
    used = [part for part in manifest.sources if part.weight > 0]
    for part in used:
        indexes = []
        for ref in expand_shards(part, manifest, data_root):
            folder = index_folder(ref.location, cache_dir)
            try:
                indexes.append(
                    load_index(ref.location, ref.name, folder, tokenizer.fingerprint, source, arrays, command)
                )
            except ManifestError as error:
                problems.append(str(error))
        opened.append(tuple(indexes))
    if not problems:
        problems = _damages([index for indexes in opened for index in indexes])
    if problems:
        raise ManifestError("\n".join(few(problems)))
    _require_few_tasks(manifest, opened)
    sources = tuple(
        MixtureSource(part.name, part.weight, indexes, part.max_audio_seconds)
        for part, indexes in zip(used, opened, strict=True)
    )
    for part, mixed in zip(used, sources, strict=True):
        where, number = f"manifest {manifest.name}, source {part.name}", len(mixed.tables)
        if mixed.num_samples == 0:
            raise ManifestError(
                f"{where} must have samples · found none in its {number:,} shards · add some, or leave it out"
            )
        if part.num_samples not in (None, mixed.num_samples):
            raise ManifestError(
                f"{where} must have num_samples={part.num_samples} as it says · found {mixed.num_samples} "
                f"in its {number:,} shards · mend num_samples or the shards"
            )
    fingerprint = _fingerprint(manifest, sources, opened, tokenizer)
    return Mixture(manifest, sources, tuple(opened), fingerprint, command)


def _require_few_tasks(manifest: Manifest, opened: Sequence[Sequence[ShardIndex]]) -> None:
    tasks = {task for indexes in opened for index in indexes for task in index.summary.tasks}
    if len(tasks) > MAX_TASKS:
        raise ManifestError(
            f"manifest {manifest.name} must have samples of at most {MAX_TASKS} different tasks · found "
            f"{len(tasks):,}, such as '{min(tasks):.80}' · name kinds of tasks, the rest goes into meta"
        )


def _damages(indexes: Sequence[ShardIndex]) -> list[str]:
    """What is wrong with the arrays of indexes that are small enough to be read now."""
    problems: list[str] = []
    if sum(index.num_bytes for index in indexes) > CHECKED_BYTES:
        return problems
    for index in indexes:
        try:
            index.check_arrays()
        except ManifestError as error:
            problems.append(str(error))
    return problems


def _fingerprint(
    manifest: Manifest,
    sources: Sequence[MixtureSource],
    shards: Sequence[Sequence[ShardIndex]],
    tokenizer: Tokenizer,
) -> str:
    content = {
        "weight_by": manifest.weight_by,
        "tokenizer": tokenizer.fingerprint,
        "sources": [
            [source.name, source.weight, [index.summary.shard_sha256 for index in indexes], *_limit(source)]
            for source, indexes in zip(sources, shards, strict=True)
        ],
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _limit(source: MixtureSource) -> tuple[float, ...]:
    """Nothing when there is none, so that it need not be known to name the data of an earlier run."""
    return () if source.max_audio_seconds is None else (source.max_audio_seconds,)
