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
from phi4train.data.shards.index import INDEX_AGAIN, MappedArrays, ShardIndex, index_folder, load_index
from phi4train.data.shards.indexing import build_index
from phi4train.data.shards.manifest import Manifest, ShardRef, expand_shards
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.tables import SampleTable
from phi4train.errors import ManifestError


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
    """

    manifest: Manifest
    sources: tuple[MixtureSource, ...]
    shards: tuple[tuple[ShardIndex, ...], ...]
    fingerprint: str


def index_manifest(
    manifest: Manifest, data_root: Path, cache_dir: Path, tokenizer: Tokenizer, rebuild: bool = False
) -> list[str]:
    """Indexes every shard whose index is missing or stale (all of them with `rebuild`); returns their names.

    Raises:
        ManifestError: a shard is missing, truncated or refused.
    """
    source, done = ShardSource(cache_dir), []
    for part in manifest.sources:
        for ref in expand_shards(part, manifest, data_root):
            if rebuild or not _is_indexed(ref, cache_dir, tokenizer, source):
                build_index(ref.location, ref.name, tokenizer, source, cache_dir)
                done.append(ref.name)
    return done


def _is_indexed(ref: ShardRef, cache_dir: Path, tokenizer: Tokenizer, source: ShardSource) -> bool:
    folder = index_folder(ref.location, cache_dir)
    try:
        load_index(ref.location, ref.name, folder, tokenizer.fingerprint, source, MappedArrays())
    except ManifestError:
        return False
    return True


def open_mixture(manifest: Manifest, data_root: Path, cache_dir: Path, tokenizer: Tokenizer) -> Mixture:
    """The indexes of a manifest's shards, compared with them by size and a probe (`data check` compares all).

    Raises:
        ManifestError: a shard or an index is missing or stale, or a source has no samples.
    """
    source, arrays = ShardSource(cache_dir), MappedArrays()
    problems: list[str] = []
    opened: list[tuple[ShardIndex, ...]] = []
    used = [part for part in manifest.sources if part.weight > 0]
    for part in used:
        indexes = []
        for ref in expand_shards(part, manifest, data_root):
            try:
                folder = index_folder(ref.location, cache_dir)
                indexes.append(
                    load_index(ref.location, ref.name, folder, tokenizer.fingerprint, source, arrays)
                )
            except ManifestError as error:
                problems.append(str(error))
        opened.append(tuple(indexes))
    if problems:
        remedy = f"run `{index_command(manifest.reference, data_root)}`"
        raise ManifestError("\n".join(problem.replace(INDEX_AGAIN, remedy) for problem in problems))
    sources = tuple(
        MixtureSource(part.name, part.weight, indexes, part.max_audio_seconds)
        for part, indexes in zip(used, opened, strict=True)
    )
    for part, mixed in zip(used, sources, strict=True):
        if mixed.num_samples == 0 or part.num_samples not in (None, mixed.num_samples):
            raise ManifestError(
                f"manifest {manifest.name}, source {part.name}: num_samples must be "
                f"{part.num_samples or 'some'} · "
                f"found {mixed.num_samples} · mend num_samples or the shards"
            )
    return Mixture(manifest, sources, tuple(opened), _fingerprint(manifest, sources, opened, tokenizer))


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
