"""Random samples of every mode for the tiny model of conftest.py, alone and laid end to end."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from phi4train.batch import IGNORE_INDEX, AudioInputs, Batch, ImageInputs, MediaInputs
from phi4train.model.audio_encoder import num_audio_tokens

IMAGE_SLOT, AUDIO_SLOT, NUM_WORDS = 60, 59, 59
_TOKENS_OF_GRID = {(1, 1): 13, (2, 1): 19}
"""Slots of an image: 2 tokens and a row end for each of its 2 x rows, a view end, 6 of its global view."""


def sample(mode: str, seed: int, grids: Sequence[tuple[int, int]] = ((2, 1),), frames: int = 90) -> Batch:
    """Words, the images and the clip that the mode has, and words again."""
    generator = torch.Generator().manual_seed(seed)
    parts = [torch.randint(NUM_WORDS, (3,), generator=generator)]
    media: dict[str, MediaInputs] = {}
    if "vision" in mode:
        positions = _add_slots(parts, IMAGE_SLOT, sum(_TOKENS_OF_GRID[grid] for grid in grids))
        num_crops = sum(1 + rows * columns for rows, columns in grids)
        crops = torch.randn(num_crops, 3, 28, 28, generator=generator)
        mask = torch.ones(num_crops, 4, 4, dtype=torch.bool)
        media["image"] = ImageInputs(crops, mask, tuple(grids), positions)
    if "speech" in mode:
        features = torch.randn(frames, 8, generator=generator)
        positions = _add_slots(parts, AUDIO_SLOT, num_audio_tokens(frames))
        media["audio"] = AudioInputs(features, (frames,), (mode,), positions)
    ids = torch.cat([*parts, torch.randint(NUM_WORDS, (9,), generator=generator)])
    labels = torch.full_like(ids, IGNORE_INDEX)
    labels[-8:] = torch.randint(NUM_WORDS, (8,), generator=generator)
    return Batch(
        ids, torch.arange(len(ids)), labels, (len(ids),), (mode,), (mode,), (f"{mode}-{seed}",), media
    )


def _add_slots(parts: list[Tensor], token: int, number: int) -> Tensor:
    positions = torch.arange(number) + sum(map(len, parts))
    parts.append(torch.full((number,), token))
    return positions


def laid_end_to_end(samples: Sequence[Batch]) -> Batch:
    """One packed batch."""
    starts = torch.tensor([0, *(len(one.input_ids_T) for one in samples)]).cumsum(0).tolist()
    placed: dict[str, list[MediaInputs]] = {}
    for start, one in zip(starts, samples, strict=False):
        for name, inputs in one.media.items():
            moved = replace(inputs, positions=inputs.positions + start)  # type: ignore[type-var]
            placed.setdefault(name, []).append(moved)
    return Batch(
        **{name: _joined(getattr(one, name) for one in samples) for name in _TENSORS + _TUPLES},
        media={name: _joined_media(inputs) for name, inputs in placed.items()},
    )


def cast(batch: Batch, dtype: torch.dtype) -> Batch:
    """The batch with pixels and features of another precision."""
    media = {}
    for name, inputs in batch.media.items():
        tensors = {field: value for field, value in vars(inputs).items() if isinstance(value, Tensor)}
        moved = {field: value.to(dtype) for field, value in tensors.items() if value.is_floating_point()}
        media[name] = replace(inputs, **moved)  # type: ignore[type-var]
    return replace(batch, media=media)


_TENSORS = ("input_ids_T", "position_ids_T", "labels_T")
_TUPLES = ("sample_lengths", "modes", "tasks", "keys")


def _joined_media(inputs: Sequence[MediaInputs]) -> MediaInputs:
    return type(inputs[0])(
        **{name: _joined(getattr(one, name) for one in inputs) for name in vars(inputs[0])}
    )


def _joined(values: Iterable[Tensor | tuple[object, ...]]) -> Tensor | tuple[object, ...]:
    listed = list(values)
    if isinstance(listed[0], Tensor):
        return torch.cat([value for value in listed if isinstance(value, Tensor)])
    return tuple(item for value in listed for item in value)
