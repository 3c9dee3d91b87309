"""A model of a few thousand parameters, and batches of random tokens for it."""

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from phi4train.batch import IGNORE_INDEX, Batch, ImageInputs
from phi4train.model.components import build_model, parameters_of
from phi4train.model.phi4 import Phi4Model
from phi4train.model.shapes import (
    AudioShape,
    LanguageModelShape,
    LoraShape,
    ModelShape,
    RopeShape,
    VisionShape,
)

VOCAB = 61
ORIGINAL_CONTEXT = 24
SLOT = 60

MakeBatch = Callable[..., Batch]
MakeModel = Callable[..., Phi4Model]


def _tiny_shape(dropout: float = 0.0) -> ModelShape:
    rope = RopeShape(
        original_context_tokens=ORIGINAL_CONTEXT,
        max_context_tokens=96,
        short_factor=[1.0] * 6,
        long_factor=[1.5, 2.0, 3.0, 4.0, 5.0, 6.0],
    )
    return ModelShape(
        LanguageModelShape(VOCAB, 64, 48, 2, 4, 2, initializer_range=0.2, rope=rope),
        VisionShape(32, 48, 3, 2, crop_size=28, patch_size=7),
        AudioShape(8, 32, 48, 2, 2, subsampling_channels=8, window_tokens=5, bias_max_distance=4),
        {"vision": LoraShape(4, 8, dropout), "speech": LoraShape(3, 6, dropout)},
    )


@pytest.fixture
def tiny_shape() -> ModelShape:
    return _tiny_shape()


@pytest.fixture
def make_model() -> MakeModel:
    """Builds a tiny model whose adapters do something (peft starts them at zero)."""

    def make(*components: str, dropout: float = 0.0, routing_rule: str = "sample") -> Phi4Model:
        chosen = ("language_model", *components)
        model = build_model(_tiny_shape(dropout), chosen, seed=0, routing_rule=routing_rule)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for name in chosen:
                for key, parameter in parameters_of(model, name).items():
                    if "lora_B" in key:
                        parameter.normal_(0, 0.3, generator=generator)
        return model.eval()

    return make


@pytest.fixture
def make_batch() -> MakeBatch:
    """Builds a batch of random samples; `images` names the samples that start with an image of one crop."""

    def make(
        lengths: Sequence[int], modes: Sequence[str] | None = None, seed: int = 0, images: Sequence[int] = ()
    ) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        ids = torch.randint(VOCAB - 1, (sum(lengths),), generator=generator)
        labels = torch.randint(VOCAB, (sum(lengths),), generator=generator)
        labels[torch.rand(labels.shape, generator=generator) < 0.3] = IGNORE_INDEX
        positions = torch.cat([torch.arange(length) for length in lengths])
        names = tuple(f"sample-{i}" for i in range(len(lengths)))
        chosen = tuple(modes or ["text"] * len(lengths))
        media = {"image": _images(lengths, images, ids, generator)} if images else {}
        return Batch(ids, positions, labels, tuple(lengths), chosen, names, names, media)

    return make


NUM_IMAGE_TOKENS = 13
"""Slots of a one-crop image: 2 rows of 2 tokens and a row end, the view end, and the global view's 2 rows."""


def _images(
    lengths: Sequence[int], samples: Sequence[int], ids: Tensor, generator: torch.Generator
) -> ImageInputs:
    starts = [sum(lengths[:sample]) for sample in samples]
    positions = torch.cat([torch.arange(start, start + NUM_IMAGE_TOKENS) for start in starts])
    ids[positions] = SLOT
    crops = torch.randn(2 * len(samples), 3, 28, 28, generator=generator)
    mask = torch.ones(2 * len(samples), 4, 4, dtype=torch.bool)
    return ImageInputs(crops, mask, ((1, 1),) * len(samples), positions)


@pytest.fixture
def split_batch() -> Callable[[Batch], list[Batch]]:
    """Cuts a batch into batches of one sample each."""

    def split(batch: Batch) -> list[Batch]:
        parts, start = [], 0
        for i, length in enumerate(batch.sample_lengths):
            rows = slice(start, start + length)
            media = {}
            if "image" in batch.media:
                whole = batch.media["image"]
                assert isinstance(whole, ImageInputs)
                owned = [k for k, p in enumerate(whole.positions[::NUM_IMAGE_TOKENS].tolist()) if p == start]
                if owned:
                    crops = slice(2 * owned[0], 2 * owned[0] + 2)
                    media["image"] = ImageInputs(
                        whole.crops_C3SS[crops],
                        whole.patch_mask_CGG[crops],
                        (whole.grids[owned[0]],),
                        torch.arange(NUM_IMAGE_TOKENS),
                    )
            parts.append(
                Batch(
                    batch.input_ids_T[rows],
                    batch.position_ids_T[rows],
                    batch.labels_T[rows],
                    (length,),
                    batch.modes[i : i + 1],
                    batch.tasks[i : i + 1],
                    batch.keys[i : i + 1],
                    media,
                )
            )
            start += length
        return parts

    return split
