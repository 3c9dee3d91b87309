"""The loader: decodes this rank's share of each global batch, in whichever worker, always the same bits.

plan(k)  ->  packs  ->  micro-batches of at most `micro_batch_tokens`  ->  this rank's share  ->  decode
"""

import atexit
import hashlib
import json
import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

from phi4train.batch import Batch
from phi4train.data.batches.collate import collate
from phi4train.data.batches.decoding import SampleDecoder
from phi4train.data.media.limits import Limits
from phi4train.data.media.registry import find_media_kind
from phi4train.data.media.spec_augment import SpecAugment
from phi4train.data.order.planner import (
    BLOCK_STEPS,
    ORDER_VERSION,
    WINDOW_SHARDS,
    BatchSize,
    Planner,
    StepItems,
    StepPlan,
)
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
class StepBatch:
    """One rank's share of the global batch of an optimizer step.

    Args:
        micro_batches: what goes through the model at once, each; empty when every sample was bad.
        skipped: samples that left holes. Holes known from the index are reported by rank 0 only.
        num_drawn: samples and pieces of this share, bad ones included: what `skipped` is a fraction of.
    """

    step: int
    micro_batches: list[Batch]
    skipped: list[SkippedSample]
    num_drawn: int

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
    """Item k is this rank's share of global batch k: a pure function of (data, plan, k)."""

    def __init__(
        self,
        planner: Planner,
        decoder: SampleDecoder,
        plan: DataPlan,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self._planner = planner
        self._decoder = decoder
        self._plan = plan
        self._rank = rank
        self._world_size = world_size

    def __getitem__(self, step: int) -> StepBatch:
        plan = self._planner.plan(step)
        shares = micro_batches_of(plan.items, self._plan.micro_batch_tokens, self._world_size)
        share = shares[self._rank :: self._world_size]
        skipped = self._reported_holes(plan) if self._rank == 0 else []
        num_drawn = len(skipped) + sum(len(rows) for rows in share)
        batches = [self._decode(plan, rows, skipped) for rows in share]
        return StepBatch(step, [batch for batch in batches if batch is not None], skipped, num_drawn)

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
        mixture.sources, mixture.manifest.weight_by, plan.batch_size, plan.limits, plan.pack_tokens, plan.seed
    )


def build_loader(
    mixture: Mixture,
    tokenizer: Tokenizer,
    plan: DataPlan,
    cache_dir: Path,
    start_step: int,
    max_steps: int,
    num_workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    start_method: str | None = None,
) -> StepLoader:
    """A DataLoader over the steps start_step .. max_steps - 1, in order.

    Starting at step one million costs what starting at step 0 costs.

    Args:
        cache_dir: folder for chunks of remote shards.
        num_workers: decoding processes; the batches do not depend on it.
        start_method: `fork`, `spawn` or `forkserver`; None takes the platform's.
    """
    planner = build_planner(mixture, plan)
    decoder = SampleDecoder(mixture, tokenizer, plan.limits, ShardSource(cache_dir))
    dataset = StepDataset(planner, decoder, plan, rank, world_size)
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


def micro_batches_of(items: StepItems, max_tokens: int, world_size: int) -> list[list[int]]:
    """Positions in `items` of each micro-batch: whole packs, in order, up to `max_tokens`.

    Their number is a multiple of `world_size`: large ones are halved until it is, so that every rank gets
    as many. Only a step with fewer items than ranks leaves a remainder.
    """
    batches: list[list[int]] = []
    tokens = 0
    for pack in np.split(np.arange(len(items.pack)), np.flatnonzero(np.diff(items.pack)) + 1):
        size = int(items.length[pack].sum())
        if not batches or tokens + size > max_tokens:
            batches.append([])
            tokens = 0
        batches[-1] += pack.tolist()
        tokens += size
    while len(batches) % world_size:
        largest = max(range(len(batches)), key=lambda i: len(batches[i]))
        items_of = batches[largest]
        if len(items_of) < 2:
            break
        half = len(items_of) // 2
        batches[largest : largest + 1] = [items_of[:half], items_of[half:]]
    return [batch for batch in batches if batch]


def _pinned(value: Any) -> Any:
    """A copy of a frozen dataclass (or mapping of them) with its tensors in page-locked memory."""
    if isinstance(value, torch.Tensor):
        return value.pin_memory()
    if isinstance(value, dict):
        return {name: _pinned(part) for name, part in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _pinned(getattr(value, f.name)) for f in fields(value)})
    return value
