"""Collating: decoded samples laid end to end into one `Batch`, without padding."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from phi4train.batch import Batch, ImageInputs, MediaInputs
from phi4train.data.decoding import DecodedSample
from phi4train.data.records import MODES


def ordered_by_mode(samples: Sequence[DecodedSample]) -> list[DecodedSample]:
    """The samples with equal modes adjacent; otherwise their order stays. The order of a batch."""
    return sorted(samples, key=lambda sample: MODES.index(sample.sample.mode))


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
        media=_collate_images(ordered, lengths),
    )


def _joined(arrays: Sequence[NDArray[Any]]) -> torch.Tensor:
    return torch.from_numpy(np.concatenate(arrays).astype(np.int64))


def _collate_images(samples: Sequence[DecodedSample], lengths: Sequence[int]) -> dict[str, MediaInputs]:
    images = [image for sample in samples for image in sample.images]
    if not images:
        return {}
    starts = np.cumsum([0, *lengths[:-1]])
    positions = [
        start + np.arange(slot.start, slot.start + slot.length)
        for start, sample in zip(starts, samples, strict=True)
        for slot in sample.encoded.slots
    ]
    inputs = ImageInputs(
        crops_C3SS=torch.cat([image.crops for image in images]),
        patch_mask_CGG=torch.cat([image.patch_mask for image in images]),
        grids=tuple(image.grid for image in images),
        positions=_joined(positions),
    )
    return {"image": inputs}
