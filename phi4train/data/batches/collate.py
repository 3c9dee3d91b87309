"""Collating: decoded samples laid end to end into one `Batch`, without padding."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phi4train.batch import IGNORE_INDEX, Batch, MediaInputs
from phi4train.data.batches.decoding import DecodedSample
from phi4train.data.media.registry import media_kind


def ordered_by_mode(samples: Sequence[DecodedSample]) -> list[DecodedSample]:
    """The samples with equal modes adjacent; otherwise their order stays. The order of a batch."""
    return sorted(samples, key=lambda sample: sample.sample.mode)


def collate(samples: Sequence[DecodedSample]) -> Batch:
    """The batch of these samples, in the order of `ordered_by_mode`."""
    assert samples, "a batch has at least one sample"
    ordered = ordered_by_mode(samples)
    lengths = tuple(len(sample.encoded.input_ids) for sample in ordered)
    return Batch(
        input_ids_T=_joined([sample.encoded.input_ids for sample in ordered]),
        position_ids_T=_joined([np.arange(length) for length in lengths]),
        labels_T=_joined([sample.encoded.labels for sample in ordered]),
        sample_lengths=lengths,
        modes=tuple(sample.sample.mode for sample in ordered),
        tasks=tuple(sample.sample.task for sample in ordered),
        keys=tuple(sample.key for sample in ordered),
        media=_collate_media(ordered, lengths),
        readings_T=_collate_readings(ordered, lengths),
    )


def _joined(arrays: Sequence[NDArray[Any]]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(arrays).astype(np.int64))


def _collate_readings(samples: Sequence[DecodedSample], lengths: Sequence[int]) -> torch.Tensor | None:
    """The id that each slot reads, IGNORE_INDEX elsewhere; None where nothing has a reading."""
    starts = np.cumsum([0, *lengths[:-1]])
    known = [
        (start + slot.start, slot.reading)
        for start, sample in zip(starts, samples, strict=True)
        for slot in sample.encoded.slots
        if slot.reading is not None
    ]
    if not known:
        return None
    readings_T = np.full(sum(lengths), IGNORE_INDEX, dtype=np.int64)
    for start, reading in known:
        readings_T[start : start + len(reading)] = reading
    return torch.from_numpy(readings_T)


def _collate_media(samples: Sequence[DecodedSample], lengths: Sequence[int]) -> dict[str, MediaInputs]:
    """Encoder inputs by modality."""
    starts = np.cumsum([0, *lengths[:-1]])
    placed = [
        (slot, start, sample.sample.mode, item)
        for start, sample in zip(starts, samples, strict=True)
        for slot, item in zip(sample.encoded.slots, sample.media, strict=True)
    ]
    inputs: dict[str, MediaInputs] = {}
    for name in sorted({slot.part.kind for slot, *_ in placed}):
        own = [entry for entry in placed if entry[0].part.kind == name]
        positions = [start + np.arange(slot.start, slot.start + slot.length) for slot, start, *_ in own]
        inputs[name] = media_kind(name).collate(
            [item for *_, item in own], [mode for _, _, mode, _ in own], _joined(positions)
        )
    return inputs
