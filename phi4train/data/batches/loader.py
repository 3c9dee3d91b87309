"""The loader: decodes this rank's share of each global batch, in whichever worker, always the same bits.

plan(k)  ->  dealt to virtual ranks  ->  micro-batches of at most `micro_batch_tokens`  ->  ours  ->  decode
"""

import atexit
import hashlib
import json
import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from phi4train.batch import Batch
from phi4train.data.batches.collate import collate
from phi4train.data.batches.decoding import SampleDecoder
from phi4train.data.media.limits import Limits
from phi4train.data.media.registry import find_media_kind
from phi4train.data.media.spec_augment import SpecAugment
from phi4train.data.order.dealing import SampleCosts, VirtualRanks, deal
from phi4train.data.order.planner import (
    BLOCK_STEPS,
    ORDER_VERSION,
    BatchSize,
    Planner,
    StepItems,
    StepPlan,
)
from phi4train.data.order.source_order import WINDOW_SHARDS
from phi4train.data.samples.prompts import CHAT_TEMPLATE_VERSION
from phi4train.data.samples.records import RECORD_VERSION
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.errors import Phi4TrainError, SampleError


@dataclass(frozen=True)
class SkippedSample:
    """A sample that was drawn and could not be used.

    Args:
        key: `<shard>/<key>`.
        cause: short stable slug.
    """

    key: str
    shard: str
    cause: str
    message: str


@dataclass(frozen=True)
class StepFacts:
    """What a step holds: of one rank, or of all.

    Args:
        num_samples, num_tokens, num_targets: in the micro-batches.
        num_drawn: samples and pieces, bad ones included: what `skipped` is a fraction of.
        skipped: samples that left holes. Holes known from the index are reported by rank 0 only.
    """

    num_samples: int
    num_tokens: int
    num_targets: int
    num_drawn: int
    skipped: tuple[SkippedSample, ...]

    @classmethod
    def of_all(cls, parts: Sequence["StepFacts"]) -> "StepFacts":
        """The facts of all ranks together."""
        return cls(
            num_samples=sum(part.num_samples for part in parts),
            num_tokens=sum(part.num_tokens for part in parts),
            num_targets=sum(part.num_targets for part in parts),
            num_drawn=sum(part.num_drawn for part in parts),
            skipped=tuple(skipped for part in parts for skipped in part.skipped),
        )


@dataclass(frozen=True)
class StepBatch:
    """One rank's share of the global batch of an optimizer step.

    Args:
        micro_batches: what goes through the model at once, each; empty when every sample was bad.
        virtual_ranks: whose share each micro-batch is of, ascending.
        skipped: samples of this share that left holes, and holes known from the index on rank 0.
        num_drawn: samples and pieces of this share, bad ones included.
        whole: facts of the global batch, once the ranks have told each other; None: there is one rank.
    """

    step: int
    micro_batches: list[Batch]
    virtual_ranks: list[int]
    skipped: list[SkippedSample]
    num_drawn: int
    whole: StepFacts | None = None

    @property
    def own_facts(self) -> StepFacts:
        """Facts of this share."""
        return StepFacts(
            num_samples=sum(len(batch.keys) for batch in self.micro_batches),
            num_tokens=sum(batch.input_ids_T.numel() for batch in self.micro_batches),
            num_targets=sum(batch.num_targets for batch in self.micro_batches),
            num_drawn=self.num_drawn,
            skipped=tuple(self.skipped),
        )

    @property
    def facts(self) -> StepFacts:
        """Facts of the global batch."""
        return self.whole or self.own_facts

    def pin_memory(self) -> "StepBatch":
        """A copy in page-locked memory, called by the DataLoader when it is asked to pin."""
        return replace(self, micro_batches=[_pinned(batch) for batch in self.micro_batches])


@dataclass(frozen=True)
class DataPlan:
    """The numbers of a run that decide its batches.

    Args:
        batch_size: samples or tokens of a global batch.
        limits: context, branches, and what a sample's media may measure.
        pack_tokens: capacity of a pack, at least `limits.sample_tokens`.
        micro_batch_tokens: most tokens in one micro-batch, at least `pack_tokens`.
        seed: of the order, and of random changes.
        spec_augment: masks in audio features.
    """

    batch_size: BatchSize
    limits: Limits
    pack_tokens: int
    micro_batch_tokens: int
    seed: int
    spec_augment: SpecAugment
    costs: SampleCosts = field(default_factory=SampleCosts)
    """By which the samples of a step are dealt evenly to virtual ranks."""


def data_fingerprint(mixture: Mixture, plan: DataPlan) -> str:
    """sha256 over all that decides which samples step k holds, but for the seed and machine-side sizes."""
    names = {name for source in mixture.sources for table in source.tables for name in table.media_kinds}
    content = {
        "mixture": mixture.fingerprint,
        "limits": _known_limits(plan.limits),
        "batch_size": asdict(plan.batch_size),
        "pack_tokens": plan.pack_tokens,
        "spec_augment": asdict(plan.spec_augment),
        "media": {name: kind.version if (kind := find_media_kind(name)) else None for name in names},
        "order": [ORDER_VERSION, BLOCK_STEPS, WINDOW_SHARDS],
        **_later_versions(),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _later_versions() -> dict[str, int]:
    """Versions of what makes ids of a record; first ones are left out, as earlier runs were without them."""
    versions = {"chat_template": CHAT_TEMPLATE_VERSION, "record": RECORD_VERSION}
    return {name: version for name, version in versions.items() if version > 1}


def _known_limits(limits: Limits) -> dict[str, Any]:
    """The limits by name; one branch is not among them, so that the data of earlier runs keep their name."""
    values = asdict(limits)
    return values if limits.num_branches > 1 else {k: v for k, v in values.items() if k != "num_branches"}


class StepDataset(Dataset[StepBatch]):
    """Item k is one rank's share of global batch k: a pure function of (data, plan, k, virtual ranks).

    Args:
        virtual: how many virtual ranks share a step, and which of them are this rank's.
    """

    def __init__(
        self, planner: Planner, decoder: SampleDecoder, plan: DataPlan, virtual: VirtualRanks | None = None
    ) -> None:
        self._planner = planner
        self._decoder = decoder
        self._plan = plan
        self._virtual = virtual or VirtualRanks()

    def __getitem__(self, step: int) -> StepBatch:
        plan = self._planner.plan(step)
        shares = micro_batches_of(plan.items, self._plan.micro_batch_tokens, self._virtual.number)
        skipped = self._reported_holes(plan) if self._virtual.own.start == 0 else []
        num_drawn = len(skipped)
        batches, owners = [], []
        for virtual_rank in self._virtual.own:
            for rows in shares[virtual_rank]:
                num_drawn += len(rows)
                batch = self._decode(plan, rows, skipped)
                if batch is not None:
                    batches.append(batch)
                    owners.append(virtual_rank)
        return StepBatch(step, batches, owners, skipped, num_drawn)

    def _decode(self, plan: StepPlan, rows: Sequence[int], skipped: list[SkippedSample]) -> Batch | None:
        """The micro-batch of some items, bad samples appended to `skipped`; None when all are bad."""
        items, decoded = plan.items, []
        for i in rows:
            place = (int(items.source[i]), int(items.shard[i]), int(items.row[i]))
            try:
                sample = self._decoder.decode(*place, int(items.start[i]), int(items.length[i]))
            except SampleError as error:
                skipped.append(self._skipped(*place, error))
                continue
            if self._plan.spec_augment.is_on:
                sample = sample.augmented(self._plan.spec_augment, self._plan.seed, plan.step, i)
            decoded.append(sample)
        return collate(decoded) if decoded else None

    def _reported_holes(self, plan: StepPlan) -> list[SkippedSample]:
        places = [(hole.source, hole.shard, hole.row) for hole in plan.holes]
        return [self._skipped(*place, self._decoder.why_unusable(*place)) for place in places]

    def _skipped(self, source: int, shard: int, row: int, error: SampleError) -> SkippedSample:
        name = self._decoder.index(source, shard).name
        return SkippedSample(self._decoder.key(source, shard, row), name, error.cause, str(error))


class StepLoader(DataLoader[StepBatch]):
    """The DataLoader of a StepDataset; a user's error that a worker meets is raised here as it was there."""

    def __iter__(self) -> Iterator[StepBatch]:  # type: ignore[override]
        items = super().__iter__()
        close = partial(_end_workers, items)
        atexit.register(close)  # for a loader that a traceback keeps alive
        try:
            for item in items:
                if isinstance(item, Phi4TrainError):
                    raise item
                yield item
        finally:
            atexit.unregister(close)
            close()


def _end_workers(items: Iterator[StepBatch]) -> None:
    """Lets workers end; they ignore the SIGTERM that torch and multiprocessing would fall back on."""
    if isinstance(items, _MultiProcessingDataLoaderIter):
        items._shutdown_workers()
        for worker in items._workers:
            worker.kill()


class _ErrorsAsItems(Dataset[StepBatch | Phi4TrainError]):
    """Items of a dataset; a user's error is an item too, or the DataLoader would wrap it in tracebacks."""

    def __init__(self, steps: StepDataset) -> None:
        self._steps = steps

    def __getitem__(self, step: int) -> StepBatch | Phi4TrainError:
        try:
            return self._steps[step]
        except Phi4TrainError as error:
            return error


def _leave_signals_to_the_main_process(worker: int) -> None:
    """A signal to the whole process group (SLURM, Ctrl-C) stops the run at a step's end: workers outlive it.

    They end when the main process closes the loader (`_end_workers`) or is gone.
    """
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
        signal.signal(signum, signal.SIG_IGN)


def build_planner(mixture: Mixture, plan: DataPlan) -> Planner:
    """What decides the samples of each step of a run.

    Raises:
        ManifestError: a source has no usable sample, or the global batch is too small for all sources.
    """
    return Planner(
        mixture.sources,
        mixture.manifest.weight_by,
        plan.batch_size,
        plan.limits,
        plan.pack_tokens,
        plan.seed,
        plan.costs,
    )


def build_loader(
    mixture: Mixture,
    tokenizer: Tokenizer,
    plan: DataPlan,
    cache_dir: Path,
    start_step: int,
    max_steps: int,
    num_workers: int = 0,
    virtual: VirtualRanks | None = None,
    start_method: str | None = None,
) -> StepLoader:
    """A DataLoader over the steps start_step .. max_steps - 1, in order.

    Starting at step one million costs what starting at step 0 costs.

    Args:
        cache_dir: folder for chunks of remote shards.
        num_workers: decoding processes; the batches do not depend on it.
        virtual: the part of this process; None: it is the only one.
        start_method: `fork`, `spawn` or `forkserver`; None takes the platform's.
    """
    planner = build_planner(mixture, plan)
    decoder = SampleDecoder(mixture, tokenizer, plan.limits, ShardSource(cache_dir))
    dataset = StepDataset(planner, decoder, plan, virtual)
    return StepLoader(
        _ErrorsAsItems(dataset),  # type: ignore[arg-type]
        batch_size=None,
        sampler=range(start_step, max_steps),
        num_workers=num_workers,
        pin_memory=torch.cuda.is_available(),
        multiprocessing_context=start_method if num_workers else None,
        worker_init_fn=_leave_signals_to_the_main_process,
        generator=torch.Generator(),  # else iterating draws from the global one, which dropout draws from too
    )


def micro_batches_of(items: StepItems, max_tokens: int, num_virtual: int) -> list[list[list[int]]]:
    """Positions in `items` of each micro-batch of each virtual rank: in order, up to `max_tokens`."""
    return [_filled(items.length, share, max_tokens) for share in deal(items.cost.tolist(), num_virtual)]


def _filled(lengths: NDArray[np.int64], positions: Sequence[int], max_tokens: int) -> list[list[int]]:
    batches: list[list[int]] = []
    tokens = max_tokens
    for position in positions:
        length = int(lengths[position])
        if tokens + length > max_tokens:
            batches.append([])
            tokens = 0
        batches[-1].append(position)
        tokens += length
    return batches


def _pinned(value: Any) -> Any:
    """A copy of a frozen dataclass (or mapping of them) with its tensors in page-locked memory."""
    if isinstance(value, torch.Tensor):
        return value.pin_memory()
    if isinstance(value, dict):
        return {name: _pinned(part) for name, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _pinned(getattr(value, f.name)) for f in fields(value)})
    return value
