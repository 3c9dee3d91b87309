"""`phi4train data check`: whether shards are what their indexes say, and what would not be used."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phi4train.data.batches.decoding import SampleDecoder
from phi4train.data.inspection.media_totals import MediaTotals, add_media_totals, render_media_totals
from phi4train.data.media.limits import Limits
from phi4train.data.order.lengths import cause_in_words, measure_lengths
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.index import ShardIndex
from phi4train.data.shards.manifest import Manifest
from phi4train.data.shards.mixture import Mixture, open_mixture
from phi4train.data.shards.source import ShardSource
from phi4train.errors import ManifestError, SampleError

_READ_BYTES = 4 * 2**20
_EXAMPLES = 3


@dataclass(frozen=True)
class SourceCheck:
    """What was found in one source.

    Args:
        num_usable: samples that training would see.
        num_split: of these, `text` records longer than the context, which are cut into pieces.
        tokens: of usable samples.
        unusable: number of samples by cause.
        examples: a few `<shard>/<key>: message` by cause.
        unused_members: media members that no record mentions.
        media: amounts by kind of media in usable samples.
    """

    name: str
    licence: str
    num_shards: int
    num_samples: int
    num_usable: int
    num_split: int
    tokens: int
    unusable: dict[str, int]
    examples: dict[str, list[str]]
    unused_members: int
    media: MediaTotals


@dataclass(frozen=True)
class CheckReport:
    """What `check_manifest` found; `problems` make the manifest unfit, unusable samples do not."""

    manifest: str
    sources: tuple[SourceCheck, ...]
    problems: tuple[str, ...]

    @property
    def is_fit(self) -> bool:
        """Whether a run may start on it."""
        return not self.problems


def check_manifest(
    manifest: Manifest,
    data_root: Path,
    cache_dir: Path,
    tokenizer: Tokenizer,
    limits: Limits,
    decode: bool = False,
) -> CheckReport:
    """Compares every shard with the checksum in its index and counts what is usable within the limits.

    Args:
        decode: also decode every sample, images included, as training would. Slow and thorough.
    """
    try:
        mixture = open_mixture(manifest, data_root, cache_dir, tokenizer)
    except ManifestError as error:
        return CheckReport(manifest.name, (), tuple(str(error).splitlines()))
    source = ShardSource(cache_dir)
    problems = [
        problem
        for indexes in mixture.shards
        for index in indexes
        if (problem := _content_problem(index, source))
    ]
    decoder = SampleDecoder(mixture, tokenizer, limits, source) if decode and not problems else None
    checks = tuple(_check_source(mixture, i, limits, decoder) for i in range(len(mixture.sources)))
    return CheckReport(manifest.name, checks, tuple(problems))


def render_check(report: CheckReport) -> str:
    """The report as text, for a terminal."""
    lines = [f"manifest {report.manifest}: {'fit' if report.is_fit else 'NOT FIT'}"]
    for check in report.sources:
        lines.append(
            f"  {check.name} ({check.licence}): {check.num_usable:,} of {check.num_samples:,} samples usable "
            f"in {check.num_shards} shards, {check.tokens:,} tokens"
        )
        lines += [f"    {line}" for line in render_media_totals(check.media)]
        if check.num_split:
            lines.append(f"    {check.num_split:,} texts longer than the context are cut into pieces")
        if check.unused_members:
            lines.append(f"    {check.unused_members:,} media members that no record mentions")
        for cause, count in sorted(check.unusable.items()):
            lines.append(f"    {count:,} left out: {cause}")
            lines += [f"      {example}" for example in check.examples[cause]]
    return "\n".join([*lines, *(f"  problem: {problem}" for problem in report.problems)])


def _content_problem(index: ShardIndex, source: ShardSource) -> str | None:
    """Why the shard is not what its index says, or None."""
    digest = hashlib.sha256()
    try:
        for offset in range(0, index.summary.shard_bytes, _READ_BYTES):
            size = min(_READ_BYTES, index.summary.shard_bytes - offset)
            digest.update(source.read(index.location, offset, size))
    except ManifestError as error:
        return str(error)
    if digest.hexdigest() == index.summary.shard_sha256:
        return None
    return (
        f"shard {index.name} must have the sha256 of its index, {index.summary.shard_sha256[:12]}… · found "
        f"{digest.hexdigest()[:12]}… · restore it, or run `{index.command} --rebuild`"
    )


def _check_source(
    mixture: Mixture, number: int, limits: Limits, decoder: SampleDecoder | None
) -> SourceCheck:
    unusable: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    media: dict[str, Counter[str]] = {}
    split = tokens = num_usable = 0
    limits = mixture.sources[number].limits(limits)
    for shard, index in enumerate(mixture.shards[number]):
        measured = measure_lengths(index, np.arange(index.num_samples), limits)
        split += int((measured.splittable & (measured.tokens > limits.context_tokens)).sum())
        usable = measured.causes == ""
        for row, (length, cause) in enumerate(zip(measured.tokens, measured.causes, strict=True)):
            message = cause_in_words(cause, limits)
            if not cause and decoder is not None:
                cause, message = _decode_problem(decoder, (number, shard, row), int(length), limits)
            if not cause:
                tokens += int(length)
                continue
            usable[row] = False
            unusable[cause] += 1
            listed = examples.setdefault(cause, [])
            if len(listed) < _EXAMPLES:
                listed.append(f"{index.name}/{index.key(row)}: {message}")
        num_usable += int(usable.sum())
        add_media_totals(media, index, index.samples[usable], limits)
    indexes = mixture.shards[number]
    source = next(part for part in mixture.manifest.sources if part.name == mixture.sources[number].name)
    return SourceCheck(
        name=source.name,
        licence=source.licence,
        num_shards=len(indexes),
        num_samples=mixture.sources[number].num_samples,
        num_usable=num_usable,
        num_split=split,
        tokens=tokens,
        unusable=dict(unusable),
        examples=examples,
        unused_members=sum(index.summary.unused_members for index in indexes),
        media=media,
    )


def _decode_problem(
    decoder: SampleDecoder, place: tuple[int, int, int], tokens: int, limits: Limits
) -> tuple[str, str]:
    """Cause and message of a sample that does not decode, or two empty texts."""
    try:
        for start in range(0, tokens, limits.sample_tokens):
            decoder.decode(*place, start, min(limits.sample_tokens, tokens - start))
    except SampleError as error:
        return error.cause, str(error)
    return "", ""
