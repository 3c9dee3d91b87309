"""The one value in which data and model meet: a flat, padding-free batch of packed samples.

Shape suffixes: T tokens of all packs of the micro-batch laid end to end, C image crops,
S crop side in pixels, G patches per crop side, F feature frames of all clips, M mel bands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

_Value = TypeVar("_Value")

IGNORE_INDEX = -100
"""Label of a position that is not trained on (the value that PyTorch and Hugging Face use)."""


class MediaInputs(Protocol):
    """What an encoder receives for all media of one modality in a batch."""

    @property
    def positions(self) -> Tensor:
        """Where in the flat T axis the encoder's output tokens go, in order; int64, shape (N,)."""

    def to(self, device: torch.device) -> Self:
        """A copy on `device`."""


@dataclass(frozen=True)
class ImageInputs:
    """All images of a batch: no crop is padding, each image's global view comes first.

    Args:
        crops_C3SS: normalised pixels, float32, (C, 3, S, S).
        patch_mask_CGG: False where a patch is only padding, bool, (C, G, G).
        grids: (rows, columns) of sub-crops of each image; image i owns 1 + rows * columns crops.
        positions: see MediaInputs.
    """

    crops_C3SS: Tensor
    patch_mask_CGG: Tensor
    grids: tuple[tuple[int, int], ...]
    positions: Tensor

    def to(self, device: torch.device) -> "ImageInputs":
        """A copy on `device`."""
        return move_tensors(self, device)


@dataclass(frozen=True)
class AudioInputs:
    """All audio clips of a batch, laid end to end: no frame is padding.

    Args:
        features_FM: log-mel features, float32, (F, M).
        num_frames: frames of each clip; they sum to F.
        projectors: `speech` or `vision_speech` for each clip: the projector that its sample's mode chooses.
        positions: see MediaInputs.
    """

    features_FM: Tensor
    num_frames: tuple[int, ...]
    projectors: tuple[str, ...]
    positions: Tensor

    def to(self, device: torch.device) -> "AudioInputs":
        """A copy on `device`."""
        return move_tensors(self, device)


@dataclass(frozen=True)
class Batch:
    """Samples laid end to end; attention never crosses a sample's boundary.

    Args:
        input_ids_T: token ids, int64; media slots hold the modality's slot token.
        position_ids_T: position inside its sample, restarting at 0, int64.
        labels_T: the id that position t must predict (already shifted by one), or IGNORE_INDEX; int64.
        sample_lengths: tokens of each sample; they sum to T. A preference is two samples here, adjacent, with
            one mode, task and key: its chosen branch, then the rejected one.
        modes: mode of each sample (`text`, `vision`, ...): decides its LoRA.
        tasks: task name of each sample, for metrics.
        keys: `<shard>/<key>` of each sample, for error messages.
        media: encoder inputs by modality (`image`, `audio`, ...); a modality that is absent has no entry.
        readings_T: the id that a media slot shows or says, or IGNORE_INDEX, int64; None: none is known.
    """

    input_ids_T: Tensor
    position_ids_T: Tensor
    labels_T: Tensor
    sample_lengths: tuple[int, ...]
    modes: tuple[str, ...]
    tasks: tuple[str, ...]
    keys: tuple[str, ...]
    media: Mapping[str, MediaInputs] = field(default_factory=dict)
    readings_T: Tensor | None = None

    @property
    def num_targets(self) -> int:
        """How many positions carry a label."""
        return int((self.labels_T != IGNORE_INDEX).sum())

    def to(self, device: torch.device) -> "Batch":
        """A copy on `device`."""
        moved = move_tensors(self, device)
        return replace(moved, media={name: inputs.to(device) for name, inputs in self.media.items()})


def move_tensors(value: _Value, device: torch.device) -> _Value:
    """A copy of a frozen dataclass whose tensor fields are on `device`."""
    moved = {
        f.name: getattr(value, f.name).to(device, non_blocking=True)
        for f in fields(value)  # type: ignore[arg-type]
        if isinstance(getattr(value, f.name), Tensor)
    }
    return replace(value, **moved)  # type: ignore[type-var]


def placeholder_batch(device: torch.device) -> Batch:
    """One text token without a target, for a rank that must run a model although it has nothing for it."""
    zero = torch.zeros(1, dtype=torch.int64, device=device)
    return Batch(
        zero, zero, torch.full_like(zero, IGNORE_INDEX), (1,), ("text",), ("none",), ("placeholder",)
    )
