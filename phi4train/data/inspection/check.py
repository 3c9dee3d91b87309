"""`phi4train data check`: whether shards are what their indexes say, and what would not be used."""

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phi4train.data.batches.decoding import SampleDecoder
from phi4train.data.inspection.media_totals import MediaTotals, add_media_totals, render_media_totals
from phi4train.data.media.limits import Limits
from phi4train.data.order.lengths import Measured, measure_lengths, why_unusable
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.index import ShardIndex
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.errors import ManifestError, SampleError

FEW_SAMPLES = 8
"""Samples of a source that are decoded when nothing else is asked for."""
_MORE_SAMPLES = 256  # of a source of which one of the few is bad
_READ_BYTES = 4 * 2**20
_EXAMPLES = 3
_SPELLINGS = 5

Place = tuple[int, int, int]
"""(source, shard, row) of a sample."""


@dataclass(frozen=True)
class SourceCheck:
    """What was found in one source.

    Args:
        num_usable: samples that training would see, as far as was looked.
        num_split: of these, `text` records longer than the context, which are cut into pieces.
        tokens: of usable samples.
        unusable: number of samples by cause.
        examples: a few `<shard>/<key>: message` by cause.
        num_decoded: samples that were decoded; those that index and limits rule out are not.
        num_broken: of these, the ones that cannot be used.
        unused_members: media members that no record mentions.
        spelled_samples: samples that spell control tokens in their texts.
        spellings: by spelling, the number of samples and `<shard>/<key>` of one.
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
    num_decoded: int
    num_broken: int
    unused_members: int
    spelled_samples: int
    spellings: dict[str, tuple[int, str]]
    media: MediaTotals


@dataclass(frozen=True)
class CheckReport:
    """What `check_mixture` found; `problems` make a mixture unfit, unusable samples alone do not."""

    manifest: str
    sources: tuple[SourceCheck, ...]
    problems: tuple[str, ...]

    @property
    def is_fit(self) -> bool:
        """Whether a run may start on it."""
        return not self.problems


def check_mixture(
    mixture: Mixture,
    tokenizer: Tokenizer,
    limits: Limits,
    cache_dir: Path,
    num_decoded: int | None = FEW_SAMPLES,
) -> CheckReport:
    """Compares every shard with the checksum in its index and counts what is usable within the limits.

    Args:
        num_decoded: samples of each source that are decoded as training would, evenly spread, and more where
            one of them is bad; None: all, which is slow and thorough.
    """
    source = ShardSource(cache_dir)
    indexes = [index for indexes in mixture.shards for index in indexes]
    problems = tuple(problem for index in indexes if (problem := _content_problem(index, source)))
    decoder = SampleDecoder(mixture, tokenizer, limits, source)
    checks = tuple(
        _check_source(mixture, i, limits, decoder, 0 if problems else num_decoded)
        for i in range(len(mixture.sources))
    )
    return CheckReport(mixture.manifest.name, checks, problems)


def render_check(report: CheckReport) -> str:
    """The report as text, for a terminal."""
    lines = [f"manifest {report.manifest}: {'fit' if report.is_fit else 'NOT FIT'}"]
    for check in report.sources:
        lines.append(
            f"  {check.name} ({check.licence}): {check.num_usable:,} of {check.num_samples:,} samples usable "
            f"in {check.num_shards} shards, {check.tokens:,} tokens"
        )
        lines += [f"    {line}" for line in _details(check)]
    return "\n".join([*lines, *(f"  problem: {problem}" for problem in report.problems)])


def _details(check: SourceCheck) -> list[str]:
    lines = render_media_totals(check.media)
    if check.num_split:
        lines.append(f"{check.num_split:,} texts longer than the context are cut into pieces")
    if check.unused_members:
        lines.append(f"{check.unused_members:,} media members that no record mentions")
    if check.spelled_samples:
        lines.append(
            f"{check.spelled_samples:,} samples spell control tokens, which train as plain characters; a "
            "dialogue belongs into messages, media into parts"
        )
        by_number = sorted(check.spellings.items(), key=lambda item: -item[1][0])
        lines += [
            f"  {spelling} in {number:,}, one is {place}"
            for spelling, (number, place) in by_number[:_SPELLINGS]
        ]
    for cause, count in sorted(check.unusable.items()):
        lines.append(f"{count:,} left out: {cause}")
        lines += [f"  {example}" for example in check.examples[cause]]
    if check.num_broken:
        lines.append(f"{check.num_broken:,} of {check.num_decoded:,} decoded samples are broken")
    return lines


def _content_problem(index: ShardIndex, source: ShardSource) -> str | None:
    """Why the shard is not what its index says, or None."""
    digest = hashlib.sha256()
    try:
        for offset in range(0, index.summary.shard_bytes, _READ_BYTES):
            size = min(_READ_BYTES, index.summary.shard_bytes - offset)
            digest.update(source.read(index.location, offset, size))
        index.check_arrays()
    except ManifestError as error:
        return str(error)
    if digest.hexdigest() == index.summary.shard_sha256:
        return None
    return (
        f"shard {index.name} must have the sha256 of its index, {index.summary.shard_sha256[:12]}… · found "
        f"{digest.hexdigest()[:12]}… · restore it, or run `{index.command} --rebuild`"
    )


def _check_source(
    mixture: Mixture, number: int, limits: Limits, decoder: SampleDecoder, num_decoded: int | None
) -> SourceCheck:
    source, indexes = mixture.sources[number], mixture.shards[number]
    own = source.limits(limits)
    measured = [measure_lengths(index, np.arange(index.num_samples), own) for index in indexes]
    decoded = _decode_some(measured, number, own, decoder, num_decoded)
    unusable: Counter[str] = Counter()
    examples: dict[str, list[str]] = {}
    media: dict[str, Counter[str]] = {}
    split = tokens = num_usable = 0
    for shard, (index, found) in enumerate(zip(indexes, measured, strict=True)):
        broken = {row: error for (_, at, row), error in decoded.items() if at == shard and error}
        split += int((found.splittable & (found.tokens > own.context_tokens)).sum())
        is_left_out = found.causes != ""
        is_left_out[list(broken)] = True
        for row in np.flatnonzero(is_left_out).tolist():
            error = broken.get(row)
            cause = error.cause if error else str(found.causes[row])
            unusable[cause] += 1
            listed = examples.setdefault(cause, [])
            if len(listed) < _EXAMPLES:
                listed.append(f"{index.name}/{index.key(row)}: {error or why_unusable(index, row, own)}")
        tokens += int(found.tokens[~is_left_out].sum())
        num_usable += int((~is_left_out).sum())
        add_media_totals(media, index, index.samples[~is_left_out], own)
    return SourceCheck(
        name=source.name,
        licence=next(part.licence for part in mixture.manifest.sources if part.name == source.name),
        num_shards=len(indexes),
        num_samples=source.num_samples,
        num_usable=num_usable,
        num_split=split,
        tokens=tokens,
        unusable=dict(unusable),
        examples=examples,
        num_decoded=len(decoded),
        num_broken=sum(error is not None for error in decoded.values()),
        unused_members=sum(index.summary.unused_members for index in indexes),
        spelled_samples=sum(index.summary.spelled_samples for index in indexes),
        spellings=_spellings(indexes),
        media=media,
    )


def _spellings(indexes: tuple[ShardIndex, ...]) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for index in indexes:
        for spelling, number, row in index.summary.spellings:
            before, place = found.get(spelling, (0, f"{index.name}/{index.key(row)}"))
            found[spelling] = (before + number, place)
    return found


def _decode_some(
    measured: list[Measured], source: int, limits: Limits, decoder: SampleDecoder, number: int | None
) -> dict[Place, SampleError | None]:
    """The error of each sample that was decoded, None where it is usable."""
    ends = np.cumsum([len(found.tokens) for found in measured])
    usable = np.flatnonzero(np.concatenate([found.causes == "" for found in measured]))
    decoded: dict[Place, SampleError | None] = {}

    def decode(count: int) -> None:
        for position in usable[np.linspace(0, len(usable) - 1, min(count, len(usable))).astype(np.int64)]:
            shard = int(np.searchsorted(ends, position, side="right"))
            row = int(position - ends[shard]) + len(measured[shard].tokens)
            if (source, shard, row) not in decoded:
                tokens = int(measured[shard].tokens[row])
                decoded[source, shard, row] = _decode_problem(decoder, (source, shard, row), tokens, limits)

    decode(len(usable) if number is None else number)
    if number is not None and any(decoded.values()):
        decode(max(number, _MORE_SAMPLES))
    return decoded


def _decode_problem(decoder: SampleDecoder, place: Place, tokens: int, limits: Limits) -> SampleError | None:
    """The error of a sample that does not decode."""
    try:
        for start in range(0, tokens, limits.sample_tokens):
            decoder.decode(*place, start, min(limits.sample_tokens, tokens - start))
    except SampleError as error:
        return error
    return None
