"""Lengths: how many tokens an indexed sample will take, or why it cannot be used, from the index alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from phi4train.data.media.kind import MediaKind, MediaSize, Rows
from phi4train.data.media.limits import Limits
from phi4train.data.media.registry import find_media_kind
from phi4train.data.samples.frames import shown_rows
from phi4train.data.samples.prompts import (
    LONGER_THAN_CONTEXT,
    UNSUPPORTED_RECORD,
    longer_than_context,
    unsupported_record,
)
from phi4train.data.shards.index import ShardIndex
from phi4train.data.shards.tables import RECORD_SHAPES, SampleTable
from phi4train.errors import SampleError

_SPLITTABLE = RECORD_SHAPES.index("text")
_UNSUPPORTED_MEDIA = "unsupported_media"
_MAX_KNOWN_SIZES = 2**20
_WORD = 32  # bits; a packed size is width and height, then these columns
_SHIFTS = {"frames": 2 * _WORD, "sample_rate": 4 * _WORD, "kind": 5 * _WORD}


@dataclass(frozen=True)
class Measured:
    """Lengths of some samples.

    Args:
        tokens: all tokens of each sample, media included, over all its branches; 0 where it cannot be used.
        causes: why each sample cannot be used, or "" where it can.
        splittable: whether it may be cut into pieces.
        media_costs: what encoding its media costs; 0 where it cannot be used.
    """

    tokens: NDArray[np.int64]
    causes: NDArray[np.object_]
    splittable: NDArray[np.bool_]
    media_costs: NDArray[np.float64]


def measure_lengths(
    table: SampleTable,
    rows: NDArray[np.int64],
    limits: Limits,
    slot_costs: Mapping[str, float] = MappingProxyType({}),
) -> Measured:
    """Tokens of the samples in `rows`, or why they cannot be used.

    Args:
        slot_costs: of encoding one slot's medium, by kind; 0 where absent.
    """
    samples = table.samples[rows]
    causes = np.array(["", *table.causes], dtype=object)[samples["cause"]]
    usable, supported = samples["cause"] == 0, samples["branches"] == limits.num_branches
    causes[usable & ~supported] = UNSUPPORTED_RECORD
    by_branch = np.ascontiguousarray(samples["text_tokens"].T, dtype=np.int64)  # sums of long rows are fast
    tokens, longest = by_branch.sum(axis=0), by_branch.max(axis=0)
    media_costs = np.zeros(len(samples))
    with_media = np.flatnonzero((samples["media_count"] > 0) & usable & supported)
    if len(with_media):
        slot_tokens, media_causes, encoding = _measure_media(table, samples[with_media], limits, slot_costs)
        media_costs[with_media] = limits.num_branches * encoding
        tokens[with_media] += limits.num_branches * slot_tokens
        longest[with_media] += slot_tokens
        causes[with_media] = media_causes
    splittable = samples["shape"] == _SPLITTABLE
    causes[(causes == "") & ~splittable & (longest > limits.context_tokens)] = LONGER_THAN_CONTEXT
    is_usable = causes == ""
    return Measured(np.where(is_usable, tokens, 0), causes, splittable, np.where(is_usable, media_costs, 0.0))


def why_unusable(index: ShardIndex, row: int, limits: Limits) -> SampleError:
    """The error, in words and numbers, of a sample that `measure_lengths` rules out."""
    sample = index.samples[row : row + 1]
    if sample["cause"][0]:
        return index.bad_sample(row)
    if sample["branches"][0] != limits.num_branches:
        return unsupported_record(limits.num_branches)
    media, _ = shown_media(index, sample, limits)
    slots = 0
    for medium in media:
        name = index.media_kinds[medium["kind"]]
        kind = find_media_kind(name)
        if kind is None:
            return SampleError(
                _UNSUPPORTED_MEDIA,
                f"media must be of a kind that is registered · found {name} · add to imports what adds it",
            )
        try:
            slots += kind.slot_length(MediaSize(*(int(medium[part]) for part in MediaSize._fields)), limits)
        except SampleError as error:
            return error
    longest = int(sample["text_tokens"][0].max()) + slots
    return longer_than_context(index.key(row), longest, limits.context_tokens)


def _measure_media(
    table: SampleTable, samples: Rows, limits: Limits, slot_costs: Mapping[str, float]
) -> tuple[NDArray[np.int64], NDArray[np.object_], NDArray[np.float64]]:
    """Of samples that have media: slot tokens in each branch, the first cause, and what encoding costs."""
    media, owners = shown_media(table, samples, limits)
    lengths, found = _slots_or_causes(table, limits, media)
    tokens = np.zeros(len(samples), dtype=np.int64)
    np.add.at(tokens, owners, lengths)
    costs = np.zeros(len(samples))
    if slot_costs:
        by_kind = np.array([slot_costs.get(name, 0.0) for name in table.media_kinds])
        np.add.at(costs, owners, lengths * by_kind[media["kind"]])
    causes = np.full(len(samples), "", dtype=object)
    for position in np.flatnonzero(found != "")[::-1]:
        causes[owners[position]] = found[position]
    return tokens, causes, costs


def shown_media(table: SampleTable, samples: Rows, limits: Limits) -> tuple[Rows, NDArray[np.int64]]:
    """Media rows of these samples without the frames that sampling leaves out, and the sample of each."""
    counts = samples["media_count"].astype(np.int64)
    owners = np.repeat(np.arange(len(samples)), counts)
    within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    media = table.media[samples["media_start"].astype(np.int64)[owners] + within]
    shown = shown_rows(media, owners, limits.video_fps, limits.max_frames)
    return (media, owners) if shown.all() else (media[shown], owners[shown])


def _slots_or_causes(
    table: SampleTable, limits: Limits, media: Rows
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Slot tokens of each media row, or why it cannot be used; computed once per distinct kind and size."""
    distinct, inverse = _distinct_sizes(media)
    kinds = tuple(find_media_kind(name) for name in table.media_kinds)
    known = _known_slots(limits, kinds)
    if len(known) > _MAX_KNOWN_SIZES:
        known.clear()
    for packed in distinct:
        if packed not in known:
            known[packed] = _slot_or_cause(limits, kinds, packed)
    slots = [known[packed] for packed in distinct]
    lengths = np.array([length for length, _ in slots], dtype=np.int64)
    causes = np.array([cause for _, cause in slots], dtype=object)
    return lengths[inverse], causes[inverse]


def _distinct_sizes(media: Rows) -> tuple[list[int], NDArray[np.int64]]:
    """(each distinct kind and size packed into an integer, which of these each row has).

    Columns that are all zero cost nothing, so that images are as fast as if there were nothing else.
    """
    areas = (media["width"].astype(np.uint64) << np.uint64(_WORD)) | media["height"]
    values, codes = np.unique(areas, return_inverse=True)
    packed: list[int] = values.tolist()
    for name, shift in _SHIFTS.items():
        if not media[name].any():
            continue
        values, new_codes = np.unique(media[name], return_inverse=True)
        pairs, codes = np.unique(codes * len(values) + new_codes, return_inverse=True)
        old, new = (part.tolist() for part in np.divmod(pairs, len(values)))
        shifted = [int(value) << shift for value in values]
        packed = [packed[i] | shifted[j] for i, j in zip(old, new, strict=True)]
    return packed, codes


@lru_cache(maxsize=8)
def _known_slots(limits: Limits, kinds: tuple[MediaKind | None, ...]) -> dict[int, tuple[int, str]]:
    """The table of sizes seen under these limits; hashing `limits` for each size would take longer."""
    return {}


def _slot_or_cause(limits: Limits, kinds: Sequence[MediaKind | None], packed: int) -> tuple[int, str]:
    width, height = packed >> _WORD & 2**32 - 1, packed & 2**32 - 1
    frames, sample_rate = (
        packed >> _SHIFTS["frames"] & 2**64 - 1,
        packed >> _SHIFTS["sample_rate"] & 2**32 - 1,
    )
    kind = kinds[packed >> _SHIFTS["kind"]]
    if kind is None:
        return 0, _UNSUPPORTED_MEDIA
    try:
        return kind.slot_length(MediaSize(width, height, frames, sample_rate), limits), ""
    except SampleError as error:
        return 0, error.cause
