"""Order: which samples are in global batch k, as a pure function of (seed, k), from the index alone.

Steps come in blocks of `BLOCK_STEPS`. Every block takes the same number of samples from each source
(its quota), so the position of a source at block b is b * quota: no history is needed.

    source position --source_order.py--> shard, row
    block: the quotas of all sources, shuffled; long texts cut into pieces; packed; packs dealt to steps

A sample that the index or the limits rule out is planned around and reported as a hole with its cause;
one that turns out to be broken when it is decoded leaves its place empty and moves no other sample.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from phi4train.data.media.limits import Limits
from phi4train.data.order.dealing import SampleCosts
from phi4train.data.order.lengths import Measured, measure_lengths
from phi4train.data.order.packing import pack_best_fit
from phi4train.data.order.permutation import derive_key, shuffled
from phi4train.data.order.source_order import SourceOrder
from phi4train.data.shards.mixture import MixtureSource
from phi4train.errors import ManifestError

ORDER_VERSION = 1
"""Raised whenever the same seed and step give another batch; part of the data fingerprint."""

BLOCK_STEPS = 64
"""Optimizer steps planned together."""

_ESTIMATE_SHARDS, _ESTIMATE_ROWS = 64, 1024
_CACHED_BLOCKS = 2

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class BatchSize:
    """How much one optimizer step holds; exactly one of the two is set.

    Args:
        samples: exactly so many samples per step, unusable ones included.
        tokens: so many real tokens per step on average.
    """

    samples: int | None = None
    tokens: int | None = None

    def __post_init__(self) -> None:
        assert (self.samples is None) != (self.tokens is None), "samples or tokens, not both"


@dataclass(frozen=True)
class StepItems:
    """Samples, or pieces of long texts, of one step in the order of its packs.

    Args:
        source, shard, row: where the sample is.
        start, length: tokens [start, start + length) of it; all of all branches where it is not cut.
        pack: number of the pack inside the step, ascending.
        cost: of computing it, in the units of SampleCosts.
    """

    source: Ints
    shard: Ints
    row: Ints
    start: Ints
    length: Ints
    pack: Ints
    cost: NDArray[np.float64]


@dataclass(frozen=True)
class Hole:
    """A sample that was drawn and cannot be used."""

    source: int
    shard: int
    row: int
    cause: str


@dataclass(frozen=True)
class StepPlan:
    """What global batch `step` consists of, over all ranks."""

    step: int
    items: StepItems
    holes: tuple[Hole, ...]


@dataclass(frozen=True)
class _Slots:
    """Samples drawn for a block, in slot order."""

    source: Ints
    shard: Ints
    row: Ints

    def at(self, positions: Ints) -> "_Slots":
        return _Slots(self.source[positions], self.shard[positions], self.row[positions])


@dataclass(frozen=True)
class _Block:
    plans: tuple[StepPlan, ...]


class Planner:
    """Plans global batches; `plan(k)` costs the same for every k.

    Args:
        sources: the mixture; tables may lie in memory.
        weight_by: whether weights are shares of `samples` or of `tokens`.
        batch_size: samples or tokens of a step.
        pack_tokens: capacity of a pack, at least `limits.sample_tokens`.
        costs: of computing a sample.

    Raises:
        ManifestError: no sample of a source is usable, or a batch is too small for the sources.
    """

    def __init__(
        self,
        sources: Sequence[MixtureSource],
        weight_by: str,
        batch_size: BatchSize,
        limits: Limits,
        pack_tokens: int,
        seed: int,
        costs: SampleCosts | None = None,
    ) -> None:
        assert pack_tokens >= limits.sample_tokens, "a pack holds the longest sample"
        self.limits = limits
        self.mean_tokens = [_mean_tokens(source, limits) for source in sources]
        """Estimated tokens of each source's average sample, unusable ones counted as 0."""
        self.shares = _sample_shares(sources, weight_by, self.mean_tokens)
        """Share of each source in the samples drawn."""
        self.quotas = _block_quotas(self.shares, self.mean_tokens, batch_size)
        """Samples that each source gives to a block."""
        self._sources = sources
        self._orders = [SourceOrder(source, derive_key(seed, 1, i)) for i, source in enumerate(sources)]
        self._batch_size = batch_size
        self._pack_tokens = pack_tokens
        self._seed = seed
        self._costs = costs or SampleCosts()
        self._blocks: OrderedDict[int, _Block] = OrderedDict()

    def plan(self, step: int) -> StepPlan:
        """The global batch of a step."""
        number = step // BLOCK_STEPS
        if number not in self._blocks:
            while len(self._blocks) >= _CACHED_BLOCKS:
                self._blocks.popitem(last=False)
            self._blocks[number] = self._plan_block(number)
        self._blocks.move_to_end(number)
        return self._blocks[number].plans[step % BLOCK_STEPS]

    def epochs_at(self, step: int) -> list[float]:
        """How often each source has been gone through before `step`."""
        return [
            step / BLOCK_STEPS * quota / source.num_samples
            for quota, source in zip(self.quotas, self._sources, strict=True)
        ]

    def _plan_block(self, number: int) -> _Block:
        slots = self._draw(number)
        measured = self._measure(slots)
        causes = measured.causes
        good = np.flatnonzero(causes == "")
        pieces, starts, lengths = _split(
            good, measured.tokens, measured.splittable, self.limits.sample_tokens
        )
        costs = self._costs.of_texts(lengths) + measured.media_costs[pieces]
        if self._batch_size.samples is not None:
            slot_steps = np.arange(len(slots.row)) // self._batch_size.samples
            steps, packs = _pack_steps(slot_steps[pieces], lengths, self._pack_tokens)
        else:
            slot_steps = np.arange(len(slots.row)) * BLOCK_STEPS // len(slots.row)
            steps, packs = _pack_block(lengths, self._pack_tokens, derive_key(self._seed, 3, number))
        order = np.lexsort((np.arange(len(pieces)), packs, steps))
        drawn = slots.at(pieces[order])
        items = StepItems(
            drawn.source,
            drawn.shard,
            drawn.row,
            starts[order],
            lengths[order],
            packs[order],
            costs[order],
        )
        holes = _holes(slots, causes, slot_steps)
        bounds = np.searchsorted(steps[order], np.arange(BLOCK_STEPS + 1))
        first = number * BLOCK_STEPS
        return _Block(
            tuple(
                StepPlan(first + i, _slice(items, bounds[i], bounds[i + 1]), holes[i])
                for i in range(BLOCK_STEPS)
            )
        )

    def _draw(self, number: int) -> _Slots:
        """The samples of a block, shuffled over the sources."""
        parts = []
        for i, (order, quota) in enumerate(zip(self._orders, self.quotas, strict=True)):
            shard, row = order.locate(number * quota, quota)
            parts.append(_Slots(np.full(quota, i, dtype=np.int64), shard, row))
        drawn = _Slots(
            np.concatenate([part.source for part in parts]),
            np.concatenate([part.shard for part in parts]),
            np.concatenate([part.row for part in parts]),
        )
        return drawn.at(shuffled(len(drawn.row), derive_key(self._seed, 2, number)))

    def _measure(self, slots: _Slots) -> Measured:
        num_slots = len(slots.row)
        found = Measured(
            tokens=np.zeros(num_slots, dtype=np.int64),
            causes=np.full(num_slots, "", dtype=object),
            splittable=np.zeros(num_slots, dtype=bool),
            media_costs=np.zeros(num_slots),
        )
        by_table = np.lexsort((slots.shard, slots.source))
        tables = np.stack([slots.source[by_table], slots.shard[by_table]])
        changes = np.flatnonzero((np.diff(tables, axis=1) != 0).any(axis=0)) + 1
        for group in np.split(by_table, changes):
            source = self._sources[slots.source[group[0]]]
            table = source.tables[slots.shard[group[0]]]
            limits = source.limits(self.limits)
            measured = measure_lengths(table, slots.row[group], limits, self._costs.slot)
            for field in fields(Measured):
                getattr(found, field.name)[group] = getattr(measured, field.name)
        return found


def _mean_tokens(source: MixtureSource, limits: Limits) -> float:
    """Tokens of an average sample, from evenly spread rows of evenly spread shards."""
    total = weight = 0.0
    limits = source.limits(limits)
    filled = [table for table in source.tables if table.num_samples]
    for shard in np.unique(np.linspace(0, len(filled) - 1, _ESTIMATE_SHARDS).astype(np.int64)):
        table = filled[shard]
        rows = np.unique(np.linspace(0, table.num_samples - 1, _ESTIMATE_ROWS).astype(np.int64))
        total += float(measure_lengths(table, rows, limits).tokens.mean()) * table.num_samples
        weight += table.num_samples
    if total == 0:
        raise ManifestError(
            f"source {source.name} must have usable samples within the limits · found none · "
            "`phi4train data check` says why; leave the source out, or raise the limits"
        )
    return total / weight


def _sample_shares(sources: Sequence[MixtureSource], weight_by: str, mean_tokens: list[float]) -> list[float]:
    weights = [
        source.weight / (mean if weight_by == "tokens" else 1.0)
        for source, mean in zip(sources, mean_tokens, strict=True)
    ]
    return [weight / sum(weights) for weight in weights]


def _block_quotas(shares: list[float], mean_tokens: list[float], batch_size: BatchSize) -> list[int]:
    """Samples per block and source: largest remainder, at least one each."""
    if batch_size.samples is not None:
        total = BLOCK_STEPS * batch_size.samples
    else:
        assert batch_size.tokens is not None
        mean = sum(share * tokens for share, tokens in zip(shares, mean_tokens, strict=True))
        total = max(round(BLOCK_STEPS * batch_size.tokens / mean), BLOCK_STEPS)
    if total < len(shares):
        raise ManifestError(
            f"{BLOCK_STEPS} steps must hold at least one sample of each source · found {total} samples for "
            f"{len(shares)} sources · raise the global batch"
        )
    exact = [total * share for share in shares]
    quotas = [max(1, int(value)) for value in exact]
    by_need = sorted(range(len(quotas)), key=lambda i: quotas[i] - exact[i])
    missing = total - sum(quotas)
    for i in range(max(missing, 0)):
        quotas[by_need[i % len(quotas)]] += 1
    for _ in range(max(-missing, 0)):
        quotas[quotas.index(max(quotas))] -= 1
    return quotas


def _split(good: Ints, tokens: Ints, splittable: NDArray[np.bool_], longest: int) -> tuple[Ints, Ints, Ints]:
    """Slot, start and length of every piece, `longest` tokens at most; what may not be cut is one piece."""
    lengths = tokens[good]
    counts = np.where(splittable[good], -(-lengths // longest), 1)
    pieces = np.repeat(good, counts)
    within = np.arange(len(pieces)) - np.repeat(np.cumsum(counts) - counts, counts)
    starts = within * longest
    return pieces, starts, np.minimum(np.repeat(lengths, counts) - starts, longest)


def _pack_steps(steps: Ints, lengths: Ints, capacity: int) -> tuple[Ints, Ints]:
    """(step, pack in the step) of each piece when pieces stay in the step of their sample."""
    packs = np.zeros(len(steps), dtype=np.int64)
    for step in range(BLOCK_STEPS):
        inside = steps == step
        packs[inside] = pack_best_fit(lengths[inside], capacity)
    return steps, packs


def _pack_block(lengths: Ints, capacity: int, key: int) -> tuple[Ints, Ints]:
    """(step, pack) of each piece when the packs of the block are shuffled and dealt evenly to its steps."""
    packs = _at_least(pack_best_fit(lengths, capacity), BLOCK_STEPS)
    num_packs = int(packs.max(initial=-1)) + 1
    ranks = shuffled(num_packs, key)[packs]
    return ranks * BLOCK_STEPS // max(num_packs, 1), ranks


def _at_least(packs: Ints, number: int) -> Ints:
    """Splits the packs with the most items until there are `number`, so that no step is empty."""
    packs = packs.copy()
    counts = np.bincount(packs, minlength=1)
    while len(counts) < min(number, len(packs)):
        largest = int(counts.argmax())
        moved = np.flatnonzero(packs == largest)[: int(counts[largest]) // 2]
        packs[moved] = len(counts)
        counts = np.bincount(packs)
    return packs


def _holes(slots: _Slots, causes: NDArray[np.object_], slot_steps: Ints) -> list[tuple[Hole, ...]]:
    holes: list[list[Hole]] = [[] for _ in range(BLOCK_STEPS)]
    for i in np.flatnonzero(causes != ""):
        hole = Hole(int(slots.source[i]), int(slots.shard[i]), int(slots.row[i]), str(causes[i]))
        holes[slot_steps[i]].append(hole)
    return [tuple(step) for step in holes]


def _slice(items: StepItems, begin: int, end: int) -> StepItems:
    part = slice(begin, end)
    _, numbered = np.unique(items.pack[part], return_inverse=True)
    return StepItems(
        items.source[part],
        items.shard[part],
        items.row[part],
        items.start[part],
        items.length[part],
        numbered,
        items.cost[part],
    )
