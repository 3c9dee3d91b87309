"""Images as crops: choosing a crop grid, and turning pixels into model input.

Shape suffixes: C crops, S crop side in pixels, G patches per crop side.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from phi4train.data.media.image_files import STRIP_PIXELS, strips
from phi4train.errors import SampleError


class ProcessedImage(NamedTuple):
    """One image as model input: its global view, then rows * columns sub-crops in row-major order.

    `crops` is float32 (C, 3, S, S), in [-1, 1] but for a little overshoot of the global view; `patch_mask` is
    bool (C, G, G), False where a patch is only padding; `grid` is (rows, columns).
    """

    crops: Tensor
    patch_mask: Tensor
    grid: tuple[int, int]


class _Layout(NamedTuple):
    """How an image of one size lies in its grid of crops; pixels, except rows, columns and valid_*."""

    rows: int
    columns: int
    height: int
    width: int
    valid_rows: int
    valid_columns: int


@dataclass(frozen=True)
class ImageGeometry:
    """The rule that cuts an image into at most `max_crops` square crops and one global view.

    Args:
        crop_size: side of a crop in pixels; an even multiple of `patch_size`.
        patch_size: side of a patch in pixels.
        max_crops: most sub-crops of one image, the global view not counted.

    Raises:
        ValueError: the sizes do not fit each other.

    Source: transformers, Phi4MultimodalImageProcessor (InternVL2's dynamic resolution, arXiv 2404.16821).
    """

    crop_size: int
    patch_size: int
    max_crops: int

    def __post_init__(self) -> None:
        if self.patch_size < 1 or self.crop_size < 1 or self.crop_size % (2 * self.patch_size):
            raise ValueError(
                f"crop_size must be an even multiple of patch_size · found {self.crop_size} and "
                f"{self.patch_size} · choose for example 448 and 14"
            )
        if self.max_crops < 1:
            raise ValueError(f"max_crops must be at least 1 · found {self.max_crops} · choose for example 16")

    @property
    def patches_per_side(self) -> int:
        """Patches along one side of a crop."""
        return self.crop_size // self.patch_size

    @property
    def min_side(self) -> int:
        """Least side in pixels of a resized image: 10/14 of a patch, which is 10 for the released sizes."""
        return math.ceil(self.patch_size * 10 / 14)

    def crop_grid(self, width: int, height: int) -> tuple[int, int]:
        """(rows, columns) of sub-crops for an image of `width` x `height` pixels.

        Raises:
            ValueError: a side is not positive.
        """
        return _crop_grid(self.crop_size, self.max_crops, width, height)

    def num_image_tokens(self, width: int, height: int) -> int:
        """Tokens of the language model that an image of `width` x `height` pixels takes.

        Raises:
            SampleError: cause `image_too_thin`.
        """
        layout = _layout(self, width, height)
        rows, columns = math.ceil(layout.valid_rows / 2), math.ceil(layout.valid_columns / 2)
        side = self.patches_per_side // 2
        return rows * (columns + 1) + 1 + side * (side + 1)

    def num_tokens_of(self, image: ProcessedImage) -> int:
        """Tokens of the language model that an image has become, from its mask: what the encoder gives."""
        side = self.patches_per_side
        mask_RKGG = image.patch_mask[1:].view(*image.grid, side, side)
        rows, columns = (math.ceil(int(m.sum()) / 2) for m in (mask_RKGG[:, 0, :, 0], mask_RKGG[0, :, 0]))
        return rows * (columns + 1) + 1 + side // 2 * (side // 2 + 1)

    def preprocess(self, image: Image.Image) -> ProcessedImage:
        """Crops, mask and grid of an RGB image: resized keeping its aspect, padded with white right or below.

        Raises:
            SampleError: cause `image_too_thin`.
            ValueError: the image is not in RGB mode (open_image returns one that is).
        """
        if image.mode != "RGB":
            raise ValueError(f"image must be in RGB mode · found {image.mode} · open it with open_image")
        layout = _layout(self, *image.size)
        crops = self._crops(_resized(image, layout.height, layout.width), layout.rows, layout.columns)
        return ProcessedImage(crops, self._patch_mask(layout), (layout.rows, layout.columns))

    def _crops(self, pixels_3HW: Tensor, rows: int, columns: int) -> Tensor:
        """Global view and sub-crops of uint8 pixels that fill the grid's width or height."""
        S = self.crop_size
        _, height, width = pixels_3HW.shape
        crops_C3SS = torch.empty(1 + rows * columns, 3, S, S)
        # with a single crop the canvas is that crop and the global view is its copy
        single = rows * columns == 1
        canvas_3HW = crops_C3SS[0] if single else torch.empty(3, rows * S, columns * S)
        canvas_3HW[:, :height, :width].copy_(pixels_3HW).sub_(127.5).div_(127.5)
        canvas_3HW[:, height:] = 1.0  # white
        canvas_3HW[:, :, width:] = 1.0
        if single:
            crops_C3SS[1] = canvas_3HW
            return crops_C3SS
        tiles = canvas_3HW.view(3, rows, S, columns, S).permute(1, 3, 0, 2, 4)
        crops_C3SS[1:].view(rows, columns, 3, S, S).copy_(tiles)
        crops_C3SS[0] = F.interpolate(canvas_3HW[None], size=(S, S), mode="bicubic", align_corners=False)[0]
        return crops_C3SS

    def _patch_mask(self, layout: _Layout) -> Tensor:
        """Valid patches of the global view (all) and of the sub-crops."""
        G, rows, columns = self.patches_per_side, layout.rows, layout.columns
        mask_CGG = torch.ones(1 + rows * columns, G, G, dtype=torch.bool)
        grid_RKGG = mask_CGG[1:].view(rows, columns, G, G)
        # padding never reaches beyond the last row or column of crops
        grid_RKGG[-1, :, layout.valid_rows - (rows - 1) * G :] = False
        grid_RKGG[:, -1, :, layout.valid_columns - (columns - 1) * G :] = False
        return mask_CGG


def _resized(image: Image.Image, height: int, width: int) -> Tensor:
    """The pixels of an RGB image at another size, uint8 (3, height, width)."""
    if image.width * image.height <= STRIP_PIXELS:
        return _interpolated(_pixels_13HW(image), height, width)[0]
    # the resize goes along the rows first, and rounds: strips of rows give the same bits, in less memory
    pieces = (_pixels_13HW(image.crop(box)) for box in strips(image.size))
    narrow_13HW = torch.cat([_interpolated(strip, strip.shape[2], width) for strip in pieces], dim=2)
    return _interpolated(narrow_13HW, height, width)[0]


def _pixels_13HW(image: Image.Image) -> Tensor:
    # unsqueezed before permuting, strides stay channels-last: the resize is then 2.5 times as fast
    return torch.from_numpy(np.array(image))[None].permute(0, 3, 1, 2)


def _interpolated(pixels_13HW: Tensor, height: int, width: int) -> Tensor:
    if pixels_13HW.shape[2:] == (height, width):
        return pixels_13HW
    return F.interpolate(pixels_13HW, size=(height, width), mode="bilinear", antialias=True)


@lru_cache(maxsize=2**16)
def _layout(geometry: ImageGeometry, width: int, height: int) -> _Layout:
    """Size after resizing, and patches not only padding; float operations in the reference's order."""
    S, patch = geometry.crop_size, geometry.patch_size
    rows, columns = geometry.crop_grid(width, height)
    scale_x, scale_y = columns * S / width, rows * S / height
    if scale_x < scale_y:
        new_width, new_height = columns * S, int(height * scale_x)
    else:
        new_width, new_height = int(width * scale_y), rows * S
    if min(new_width, new_height) < geometry.min_side:
        raise SampleError(
            "image_too_thin",
            f"a resized image must have sides of at least {geometry.min_side} px · found {width}x{height} px "
            f"that became {new_width}x{new_height} px · crop or remove the image",
        )
    side = geometry.patches_per_side
    valid_rows = rows * side - (rows * S - new_height) // patch
    valid_columns = columns * side - (columns * S - new_width) // patch
    return _Layout(rows, columns, new_height, new_width, valid_rows, valid_columns)


@lru_cache(maxsize=2**16)
def _crop_grid(crop_size: int, max_crops: int, width: int, height: int) -> tuple[int, int]:
    """(rows, columns): the grid that covers the image, else the allowed one of nearest aspect ratio."""
    if width < 1 or height < 1:
        raise ValueError(f"image sides must be positive · found {width}x{height} · remove the image")
    columns, rows = math.ceil(width / crop_size), math.ceil(height / crop_size)
    if rows * columns <= max_crops:
        return rows, columns
    aspect_ratio, best, best_difference = width / height, (1, 1), math.inf
    for columns, rows in _grids_by_area(max_crops):
        difference = abs(aspect_ratio - columns / rows)
        # of equally near grids the larger one wins if the image fills more than half of it
        fills = width * height > 0.5 * crop_size * crop_size * columns * rows
        if difference < best_difference or (difference == best_difference and fills):
            best, best_difference = (rows, columns), difference
    return best


@lru_cache(maxsize=64)
def _grids_by_area(max_crops: int) -> tuple[tuple[int, int], ...]:
    """All (columns, rows) of at most `max_crops` crops, smallest first."""
    grids = [(i, j) for i in range(1, max_crops + 1) for j in range(1, max_crops // i + 1)]
    return tuple(sorted(grids, key=lambda grid: grid[0] * grid[1]))
