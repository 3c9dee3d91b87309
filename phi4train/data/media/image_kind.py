"""Images as a media kind: crops within the limits of pixels and crops."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from phi4train.batch import ImageInputs
from phi4train.data.media.image_files import image_size, open_image
from phi4train.data.media.images import ProcessedImage
from phi4train.data.media.kind import MediaSize
from phi4train.errors import SampleError

if TYPE_CHECKING:
    from phi4train.data.media.kind import Rows
    from phi4train.data.media.limits import Limits
    from phi4train.data.media.spec_augment import SpecAugment


@dataclass(frozen=True)
class ImageKind:
    """See MediaKind."""

    name: str = "image"
    version: int = 2
    extensions: tuple[str, ...] = ("png", "jpg", "jpeg", "webp")
    slot_token: str = "<|endoftext10|>"

    def measure(self, content: bytes) -> MediaSize:
        """Width and height, upright."""
        return MediaSize(*image_size(content))

    def slot_length(self, size: MediaSize, limits: "Limits") -> int:
        """Tokens of its crops. Raises SampleError: `image_too_large`, `image_too_thin`."""
        if size.width * size.height > limits.max_image_pixels:
            raise SampleError(
                "image_too_large",
                f"an image must have at most {limits.max_image_pixels} pixels · found "
                f"{size.width} x {size.height} · raise data.max_image_pixels or shrink the image",
            )
        return limits.geometry.num_image_tokens(size.width, size.height)

    def process(self, content: bytes, limits: "Limits") -> ProcessedImage:
        """Its global view and crops."""
        return limits.geometry.preprocess(open_image(content, limits.max_image_pixels))

    def item_length(self, item: ProcessedImage, limits: "Limits") -> int:
        """Tokens of the crops that it has become."""
        return limits.geometry.num_tokens_of(item)

    def augment(
        self, item: ProcessedImage, settings: "SpecAugment", random: np.random.Generator
    ) -> ProcessedImage:
        """The image as it is."""
        return item

    def collate(
        self, items: Sequence[ProcessedImage], modes: Sequence[str], positions: Tensor
    ) -> ImageInputs:
        """All crops end to end."""
        return ImageInputs(
            crops_C3SS=torch.cat([image.crops for image in items]),
            patch_mask_CGG=torch.cat([image.patch_mask for image in items]),
            grids=tuple(image.grid for image in items),
            positions=positions,
        )

    def describe(self, size: MediaSize) -> str:
        """Its sides."""
        return f"{size.width}x{size.height} px"

    def totals(self, sizes: "Rows") -> dict[str, float]:
        """Megapixels."""
        return {"megapixels": float((sizes["width"].astype(np.float64) * sizes["height"]).sum() / 1e6)}
