"""Collating: decoded samples laid end to end into one `Batch`, without padding."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phi4train.batch import IGNORE_INDEX, Batch, MediaInputs
from phi4train.data.batches.encoding import DecodedSample
from phi4train.data.media.registry import media_kind
from phi4train.data.samples.prompts import EncodedSample


def ordered_by_mode(samples: Sequence[DecodedSample]) -> list[DecodedSample]:
    """The samples with equal modes adjacent; otherwise their order stays. The order of a batch."""
    return sorted(samples, key=lambda sample: sample.sample.mode)


def collate(samples: Sequence[DecodedSample]) -> Batch:
    """The batch of these samples, in the order of `ordered_by_mode`.

    Each branch is a sequence of its own with media of its own, those of a sample adjacent.
    """
    assert samples, "a batch has at least one sample"
    pairs = [(sample, branch) for sample in ordered_by_mode(samples) for branch in sample.branches]
    owners, branches = [sample for sample, _ in pairs], [branch for _, branch in pairs]
    lengths = tuple(len(branch.input_ids) for branch in branches)
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    return Batch(
        input_ids_T=_joined([branch.input_ids for branch in branches]),
        position_ids_T=_joined([np.arange(length) for length in lengths]),
        labels_T=_joined([branch.labels for branch in branches]),
        sample_lengths=lengths,
        modes=tuple(sample.sample.mode for sample in owners),
        tasks=tuple(sample.sample.task for sample in owners),
        keys=tuple(sample.key for sample in owners),
        media=_collate_media(pairs, starts),
        readings_T=_collate_readings(branches, starts, sum(lengths)),
    )


def _joined(arrays: Sequence[NDArray[Any]]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(arrays).astype(np.int64))


def _collate_readings(
    branches: Sequence[EncodedSample], starts: Sequence[int], num_tokens: int
) -> torch.Tensor | None:
    """The id that each slot reads, IGNORE_INDEX elsewhere; None where nothing has a reading."""
    known = [
        (start + slot.start, slot.reading)
        for start, branch in zip(starts, branches, strict=True)
        for slot in branch.slots
        if slot.reading is not None
    ]
    if not known:
        return None
    readings_T = np.full(num_tokens, IGNORE_INDEX, dtype=np.int64)
    for start, reading in known:
        readings_T[start : start + len(reading)] = reading
    return torch.from_numpy(readings_T)


def _collate_media(
    pairs: Sequence[tuple[DecodedSample, EncodedSample]], starts: Sequence[int]
) -> dict[str, MediaInputs]:
    """Encoder inputs by modality, of samples each with one of its branches."""
    placed = [
        (slot, start, sample.sample.mode, item)
        for start, (sample, branch) in zip(starts, pairs, strict=True)
        for slot, item in zip(branch.slots, sample.media, strict=True)
    ]
    inputs: dict[str, MediaInputs] = {}
    for name in sorted({slot.part.kind for slot, *_ in placed}):
        own = [entry for entry in placed if entry[0].part.kind == name]
        positions = [start + np.arange(slot.start, slot.start + slot.length) for slot, start, *_ in own]
        inputs[name] = media_kind(name).collate(
            [item for *_, item in own], [mode for _, _, mode, _ in own], _joined(positions)
        )
    return inputs
