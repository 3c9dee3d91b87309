"""Lengths: how many tokens an indexed sample will take, or why it cannot be used, from the index alone."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from phi4train.data.frames import shown_rows
from phi4train.data.images import ImageGeometry
from phi4train.data.index import RECORD_SHAPES, Rows, SampleTable
from phi4train.data.media import MediaKind, MediaSize, find_media_kind
from phi4train.errors import SampleError

_SPLITTABLE = RECORD_SHAPES.index("text")
_MAX_KNOWN_SIZES = 2**20


@dataclass(frozen=True)
class Limits:
    """What a sample may measure.

    Args:
        context_tokens: longest sample; longer `text` is split, anything else left out.
        max_image_pixels: largest image, width x height.
        geometry: how images become crops, and so tokens.
        max_audio_seconds: longest audio clip.
        video_fps: frames per second that are kept of a video; None: all.
        max_frames: most frames of a video; of more, evenly spread ones are kept.
    """

    context_tokens: int
    max_image_pixels: int
    geometry: ImageGeometry
    max_audio_seconds: float = 1800.0
    video_fps: float | None = None
    max_frames: int = 64


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
    lengths, found = _slots_or_causes(table, limits, media)
    hidden = ~shown_rows(media, owners, limits.video_fps, limits.max_frames)
    lengths[hidden], found[hidden] = 0, ""
    tokens = np.zeros(len(samples), dtype=np.int64)
    np.add.at(tokens, owners, lengths)
    causes = np.full(len(samples), "", dtype=object)
    for position in np.flatnonzero(found != "")[::-1]:
        causes[owners[position]] = found[position]
    return tokens, causes


def _slots_or_causes(
    table: SampleTable, limits: Limits, media: Rows
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Slot tokens of each media row, or why it cannot be used; computed once per distinct kind and size."""
    first, inverse = _distinct(media)
    kinds = tuple(find_media_kind(name) for name in table.media_kinds)
    known = _known_slots(limits, kinds)
    if len(known) > _MAX_KNOWN_SIZES:
        known.clear()
    sizes: list[tuple[int, ...]] = media[first][["kind", *MediaSize._fields]].tolist()
    for size in sizes:
        if size not in known:
            known[size] = _slot_or_cause(limits, kinds[size[0]], MediaSize(*size[1:]))
    slots = [known[size] for size in sizes]
    lengths = np.array([length for length, _ in slots], dtype=np.int64)
    causes = np.array([cause for _, cause in slots], dtype=object)
    return lengths[inverse], causes[inverse]


def _distinct(media: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(position of a row of each distinct kind and size, which of these each row has)."""
    columns = (
        (media["width"].astype(np.uint64) << np.uint64(32)) | media["height"],
        media["frames"],
        (media["sample_rate"].astype(np.uint64) << np.uint64(8)) | media["kind"],
    )
    codes, first = np.zeros(len(media), dtype=np.int64), np.zeros(1, dtype=np.int64)
    for column in columns:
        if (column == column[0]).all():
            continue
        values, code = np.unique(column, return_inverse=True)
        _, first, codes = np.unique(codes * len(values) + code, return_index=True, return_inverse=True)
    return first, codes


@lru_cache(maxsize=8)
def _known_slots(
    limits: Limits, kinds: tuple[MediaKind | None, ...]
) -> dict[tuple[int, ...], tuple[int, str]]:
    """The table of sizes seen under these limits; hashing `limits` for each size would take longer."""
    return {}


def _slot_or_cause(limits: Limits, kind: MediaKind | None, size: MediaSize) -> tuple[int, str]:
    if kind is None:
        return 0, "unsupported_media"
    try:
        return kind.slot_length(size, limits), ""
    except SampleError as error:
        return 0, error.cause
