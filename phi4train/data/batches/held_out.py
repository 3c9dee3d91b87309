"""Evaluation batches: a manifest read once, in the order of its index, in flat batches."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from phi4train.batch import Batch
from phi4train.data.batches.collate import collate, ordered_by_mode
from phi4train.data.batches.decoding import SampleDecoder
from phi4train.data.batches.encoding import DecodedSample, encode
from phi4train.data.batches.loader import SkippedSample
from phi4train.data.media.limits import Limits
from phi4train.data.order.lengths import measure_lengths
from phi4train.data.samples.records import Sample
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.errors import SampleError


@dataclass(frozen=True)
class EvaluationBatch:
    """A batch, and the sample of each of its sequences, in the same order."""

    batch: Batch
    samples: tuple[Sample, ...]


def evaluation_batches(
    mixture: Mixture,
    tokenizer: Tokenizer,
    limits: Limits,
    cache_dir: Path,
    max_batch_tokens: int,
    skipped: list[SkippedSample],
    max_samples: int | None = None,
    as_prompts: bool = False,
) -> Iterator[EvaluationBatch]:
    """Every sample of a mixture once, or the first `max_samples` of each source.

    Args:
        max_batch_tokens: most tokens of a batch; a single longer sample is a batch of its own.
        skipped: samples that cannot be used are appended to it.
        as_prompts: prompts that end where the answer begins, without labels, instead of training batches.
    """
    decoder = SampleDecoder(mixture, tokenizer, limits, ShardSource(cache_dir))
    waiting: list[DecodedSample] = []
    tokens = 0
    for decoded in _decoded(mixture, decoder, tokenizer, limits, max_samples, as_prompts, skipped):
        if waiting and tokens + decoded.num_tokens > max_batch_tokens:
            yield _finished(waiting)
            waiting, tokens = [], 0
        waiting.append(decoded)
        tokens += decoded.num_tokens
    if waiting:
        yield _finished(waiting)


def _finished(waiting: list[DecodedSample]) -> EvaluationBatch:
    samples = tuple(decoded.sample for decoded in ordered_by_mode(waiting) for _ in decoded.branches)
    return EvaluationBatch(collate(waiting), samples)


def _decoded(
    mixture: Mixture,
    decoder: SampleDecoder,
    tokenizer: Tokenizer,
    limits: Limits,
    max_samples: int | None,
    as_prompts: bool,
    skipped: list[SkippedSample],
) -> Iterator[DecodedSample]:
    """Samples and pieces of long texts in index order; unusable ones are appended to `skipped`."""
    for place, tokens, cause in _places(mixture, limits, max_samples):
        try:
            if cause:
                raise decoder.why_unusable(*place)
            if as_prompts:
                key, (sample, contents) = decoder.key(*place), decoder.read(*place)
                yield encode(key, sample, contents, tokenizer, limits, add_generation_prompt=True)
                continue
            for start in range(0, tokens, limits.sample_tokens):
                yield decoder.decode(*place, start, min(limits.sample_tokens, tokens - start))
        except SampleError as error:
            shard = decoder.index(*place[:2]).name
            skipped.append(SkippedSample(decoder.key(*place), shard, error.cause, str(error)))


def _places(
    mixture: Mixture, limits: Limits, max_samples: int | None
) -> Iterator[tuple[tuple[int, int, int], int, str]]:
    """(source, shard, row), tokens and cause of the first `max_samples` of each source."""
    for source, part in enumerate(mixture.sources):
        left = part.num_samples if max_samples is None else max_samples
        for shard, table in enumerate(part.tables):
            rows = np.arange(min(left, table.num_samples))
            left -= len(rows)
            if len(rows) == 0:
                continue
            measured = measure_lengths(table, rows, part.limits(limits))
            for row in rows:
                yield (source, shard, int(row)), int(measured.tokens[row]), str(measured.causes[row])
