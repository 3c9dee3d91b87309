"""Lengths: how many tokens an indexed sample will take, or why it cannot be used, from the index alone."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from phi4train.data.images import ImageGeometry
from phi4train.data.index import MEDIA_KIND_NAMES, RECORD_SHAPES, Rows, SampleTable
from phi4train.errors import SampleError

_SPLITTABLE = RECORD_SHAPES.index("text")
_IMAGE = MEDIA_KIND_NAMES.index("image")
_NO_IMAGE = -1
_MAX_KNOWN_SIZES = 2**20


@dataclass(frozen=True)
class Limits:
    """What a sample may measure.

    Args:
        context_tokens: longest sample; longer `text` is split, anything else left out.
        max_image_pixels: largest image, width x height.
        geometry: how images become crops, and so tokens.
    """

    context_tokens: int
    max_image_pixels: int
    geometry: ImageGeometry

    def slot_length(self, width: int, height: int) -> int:
        """Tokens of an image. Raises SampleError when it is too large or too thin."""
        if width * height > self.max_image_pixels:
            raise SampleError(
                "image_too_large",
                f"an image has at most {self.max_image_pixels} pixels · found {width} x {height} · "
                "raise max_image_pixels or shrink the image",
            )
        return self.geometry.num_image_tokens(width, height)


@dataclass(frozen=True)
class Measured:
    """Lengths of some samples.

    Args:
        tokens: all tokens of each sample, media included; 0 where it cannot be used.
        causes: why each sample cannot be used, or "" where it can.
        splittable: whether it may be cut into pieces.
    """

    tokens: NDArray[np.int64]
    causes: NDArray[np.object_]
    splittable: NDArray[np.bool_]


def measure(table: SampleTable, rows: NDArray[np.int64], limits: Limits) -> Measured:
    """Tokens of the samples in `rows`, or why they cannot be used."""
    samples = table.samples[rows]
    causes = np.array(["", *table.causes], dtype=object)[samples["cause"]]
    tokens = samples["text_tokens"].astype(np.int64)
    with_media = np.flatnonzero((samples["media_count"] > 0) & (samples["cause"] == 0))
    if len(with_media):
        slot_tokens, media_causes = _measure_media(table, samples[with_media], limits)
        tokens[with_media] += slot_tokens
        causes[with_media] = media_causes
    splittable = samples["shape"] == _SPLITTABLE
    causes[(causes == "") & ~splittable & (tokens > limits.context_tokens)] = "longer_than_context"
    return Measured(np.where(causes == "", tokens, 0), causes, splittable)


def _measure_media(
    table: SampleTable, samples: Rows, limits: Limits
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Slot tokens of samples that have media, and the first cause among their media."""
    counts = samples["media_count"].astype(np.int64)
    owners = np.repeat(np.arange(len(samples)), counts)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    media = table.media[samples["media_start"].astype(np.int64)[owners] + within]
    lengths, found = _slots_or_causes(limits, media)
    tokens = np.zeros(len(samples), dtype=np.int64)
    np.add.at(tokens, owners, lengths)
    causes = np.full(len(samples), "", dtype=object)
    for position in np.flatnonzero(found != "")[::-1]:
        causes[owners[position]] = found[position]
    return tokens, causes


def _slots_or_causes(limits: Limits, media: Rows) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Slot tokens of each media row, or why it cannot be used; computed once per distinct size."""
    sizes = (media["width"].astype(np.int64) << 32) | media["height"].astype(np.int64)
    sizes[media["kind"] != _IMAGE] = _NO_IMAGE
    distinct, inverse = np.unique(sizes, return_inverse=True)
    known = _known_slots(limits)
    if len(known) > _MAX_KNOWN_SIZES:
        known.clear()
    for size in distinct.tolist():
        if size not in known:
            known[size] = _slot_or_cause(limits, size)
    slots = [known[size] for size in distinct.tolist()]
    lengths = np.array([length for length, _ in slots], dtype=np.int64)
    causes = np.array([cause for _, cause in slots], dtype=object)
    return lengths[inverse], causes[inverse]


@lru_cache(maxsize=8)
def _known_slots(limits: Limits) -> dict[int, tuple[int, str]]:
    """The table of sizes seen under these limits; hashing `limits` for each size would take longer."""
    return {}


def _slot_or_cause(limits: Limits, size: int) -> tuple[int, str]:
    if size == _NO_IMAGE:
        return 0, "unsupported_media"
    width, height = size >> 32, size & 0xFFFFFFFF
    try:
        return limits.slot_length(width, height), ""
    except SampleError as error:
        return 0, error.cause
