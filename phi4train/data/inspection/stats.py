"""`phi4train data stats`: what a mixture holds, and what a run of so many steps would see of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from phi4train.data.batches.loader import DataPlan, build_planner
from phi4train.data.inspection.media_totals import MediaTotals, add_media_totals, render_media_totals
from phi4train.data.order.lengths import measure_lengths
from phi4train.data.order.planner import BLOCK_STEPS
from phi4train.data.shards.mixture import Mixture


@dataclass(frozen=True)
class SourceStats:
    """One source.

    Args:
        tokens: of its usable samples, media included.
        target_tokens: of these, the ones trained on.
        sample_share: its share of the samples that a run draws.
        token_share: its share of the tokens that a run sees.
        epochs: how often the run goes through it.
    """

    name: str
    num_samples: int
    num_usable: int
    tokens: int
    target_tokens: int
    sample_share: float
    token_share: float
    epochs: float


@dataclass(frozen=True)
class MixtureStats:
    """A mixture under the limits and batch size of a run.

    Args:
        modes: usable samples by mode.
        tasks: usable samples by task.
        media: amounts by kind of media in usable samples.
        length_histogram: usable samples by upper bound of their tokens, powers of two.
        tokens_per_step: real tokens of a global batch, mean over the first block.
        samples_per_step: samples and pieces of a global batch, likewise.
        pack_fill: share of the packs' capacity that holds tokens, likewise.
    """

    manifest: str
    max_steps: int
    sources: tuple[SourceStats, ...]
    modes: Mapping[str, int]
    tasks: Mapping[str, int]
    media: MediaTotals
    length_histogram: Mapping[int, int]
    tokens_per_step: float
    samples_per_step: float
    pack_fill: float


@dataclass
class _Counts:
    """Running totals over shards."""

    usable: int
    tokens: int
    target_tokens: int


def manifest_stats(mixture: Mixture, plan: DataPlan, max_steps: int) -> MixtureStats:
    """Counts over the whole index, and what planning its first block gives.

    Raises:
        ManifestError: a source has no usable sample.
    """
    planner = build_planner(mixture, plan)
    modes: Counter[str] = Counter()
    tasks: Counter[str] = Counter()
    histogram: Counter[int] = Counter()
    media: dict[str, Counter[str]] = {}
    counts = [
        _count_source(mixture, i, plan, modes, tasks, histogram, media) for i in range(len(mixture.sources))
    ]
    seen = [share * mean for share, mean in zip(planner.shares, planner.mean_tokens, strict=True)]
    epochs = planner.epochs_at(max_steps)
    sources = tuple(
        SourceStats(
            name=source.name,
            num_samples=source.num_samples,
            num_usable=counts[i].usable,
            tokens=counts[i].tokens,
            target_tokens=counts[i].target_tokens,
            sample_share=planner.shares[i],
            token_share=seen[i] / sum(seen),
            epochs=epochs[i],
        )
        for i, source in enumerate(mixture.sources)
    )
    steps = [planner.plan(step).items for step in range(BLOCK_STEPS)]
    tokens = sum(int(items.length.sum()) for items in steps)
    num_packs = sum(int(items.pack.max(initial=-1)) + 1 for items in steps)
    return MixtureStats(
        manifest=mixture.manifest.name,
        max_steps=max_steps,
        sources=sources,
        modes=modes,
        tasks=tasks,
        media=media,
        length_histogram=dict(sorted(histogram.items())),
        tokens_per_step=tokens / BLOCK_STEPS,
        samples_per_step=sum(len(items.row) for items in steps) / BLOCK_STEPS,
        pack_fill=tokens / max(num_packs * plan.pack_tokens, 1),
    )


def render_stats(stats: MixtureStats) -> str:
    """The statistics as text, for a terminal."""
    header = f"{'source':<20}{'samples':>12}{'usable':>12}{'tokens':>16}{'targets':>16}"
    lines = [
        f"manifest {stats.manifest}, {stats.max_steps:,} steps",
        f"{header}{'of samples':>12}{'of tokens':>12}{'epochs':>10}",
    ]
    lines += [
        f"{source.name:<20}{source.num_samples:>12,}{source.num_usable:>12,}{source.tokens:>16,}"
        f"{source.target_tokens:>16,}{source.sample_share:>12.1%}{source.token_share:>12.1%}"
        f"{source.epochs:>10.2f}"
        for source in stats.sources
    ]
    lines += [
        f"a step: {stats.tokens_per_step:,.0f} tokens, {stats.samples_per_step:,.1f} samples; "
        f"packs are {stats.pack_fill:.1%} full",
        f"modes: {_listed(stats.modes)}",
        f"tasks: {_listed(stats.tasks)}",
        *render_media_totals(stats.media),
        "tokens of a sample:",
    ]
    most = max(stats.length_histogram.values(), default=1)
    lines += [
        f"  up to {bound:>8,} {number:>12,} {'#' * -(-40 * number // most)}"
        for bound, number in stats.length_histogram.items()
    ]
    return "\n".join(lines)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number:,}" for name, number in sorted(counts.items()))


def _count_source(
    mixture: Mixture,
    number: int,
    plan: DataPlan,
    modes: Counter[str],
    tasks: Counter[str],
    histogram: Counter[int],
    media: dict[str, Counter[str]],
) -> _Counts:
    """Totals of one source; adds its samples to the counters."""
    counts = _Counts(0, 0, 0)
    limits = mixture.sources[number].limits(plan.limits)
    for index in mixture.shards[number]:
        measured = measure_lengths(index, np.arange(index.num_samples), limits)
        usable = measured.causes == ""
        rows, tokens = index.samples[usable], measured.tokens[usable]
        add_media_totals(media, index, rows, limits)
        counts.usable += len(rows)
        counts.tokens += int(tokens.sum())
        counts.target_tokens += int(rows["target_tokens"].sum())
        for counter, names, values in (
            (modes, index.summary.modes, rows["mode"]),
            (tasks, index.summary.tasks, rows["task"]),
        ):
            for value, times in zip(*np.unique(values, return_counts=True), strict=True):
                counter[names[int(value)]] += int(times)
        bounds = 2 ** np.ceil(np.log2(np.maximum(tokens, 1))).astype(np.int64)
        for bound, times in zip(*np.unique(bounds, return_counts=True), strict=True):
            histogram[int(bound)] += int(times)
    return counts
