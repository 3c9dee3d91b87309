"""Images as a kind of media: what the header says is what the pixels take."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from phi4train.batch import ImageInputs
from phi4train.data.media.image_kind import ImageKind
from phi4train.data.media.kind import MediaSize
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import SpecAugment
from phi4train.data.shards.tables import MEDIA_DTYPE
from phi4train.errors import SampleError
from tests.unit.data.small_shards import png

KIND = ImageKind()
SIZES = ((56, 56), (112, 56), (40, 200), (170, 30))


@pytest.mark.parametrize("size", SIZES)
def test_slots_from_the_header_are_those_that_the_crops_fill(limits: Limits, size: tuple[int, int]) -> None:
    content = png(*size)
    measured = KIND.measure(content)
    assert measured == MediaSize(*size)
    image = KIND.process(content, limits)
    assert KIND.slot_length(measured, limits) == limits.geometry.num_image_tokens(*size)
    assert len(image.crops) == 1 + image.grid[0] * image.grid[1]


def test_an_image_beyond_its_pixels_is_refused_from_its_header_alone(limits: Limits) -> None:
    exact = replace(limits, max_image_pixels=50 * 40)
    assert KIND.slot_length(MediaSize(50, 40), exact) > 0
    with pytest.raises(SampleError, match=r"at most 2000 pixels · found 51 x 40 · raise") as caught:
        KIND.slot_length(MediaSize(51, 40), exact)
    assert caught.value.cause == "image_too_large"


def test_images_of_a_batch_lie_end_to_end_each_as_it_is_alone(limits: Limits) -> None:
    images = [KIND.process(png(*size, shade=n), limits) for n, size in enumerate(SIZES)]
    positions = torch.arange(7)
    batch = KIND.collate(images, ["vision"] * len(images), positions)
    assert isinstance(batch, ImageInputs) and batch.positions is positions
    assert batch.grids == tuple(image.grid for image in images)
    start = 0
    for image in images:
        own = slice(start, start + len(image.crops))
        assert torch.equal(batch.crops_C3SS[own], image.crops)
        assert torch.equal(batch.patch_mask_CGG[own], image.patch_mask)
        start += len(image.crops)
    assert start == len(batch.crops_C3SS)


def test_an_image_is_never_changed_at_random(limits: Limits) -> None:
    image = KIND.process(png(56, 56), limits)
    masks = SpecAugment(time_masks=9, time_width=9, frequency_masks=9, frequency_width=9)
    assert KIND.augment(image, masks, np.random.default_rng(0)) is image


def test_megapixels_add_up_where_pixels_would_not_fit_their_column() -> None:
    rows = np.zeros(3, dtype=MEDIA_DTYPE)
    rows["width"], rows["height"] = 100_000, 50_000  # more than 2^32 pixels each
    assert KIND.totals(rows) == {"megapixels": pytest.approx(15_000)}
    assert KIND.describe(MediaSize(640, 480)) == "640x480 px"
