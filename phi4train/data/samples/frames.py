"""Frames of videos: which of them the model sees, the same from a record as from its row of an index."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from phi4train.data.media.kind import Rows
from phi4train.data.samples.records import Message, Part, Sample, VideoPart


@lru_cache(maxsize=2**12)
def chosen_frames(number: int, fps: float, kept_fps: float | None, max_frames: int) -> tuple[int, ...]:
    """Positions of the frames that are shown, ascending; at least one.

    First the rate is lowered to `kept_fps`, by taking the last frame at or before each of its ticks; then, of
    more than `max_frames`, the middles of equal stretches are taken.

    Args:
        number: frames of the video, at least 1.
        fps: of the video; 0: unknown, its rate is left alone.
        kept_fps: None: its rate is left alone.
    """
    kept = list(range(number))
    if kept_fps is not None and kept_fps < fps:
        ratio = fps / kept_fps
        ticks = range(int((number - 1) / ratio) + 1)
        kept = [min(int(tick * ratio), number - 1) for tick in ticks]
    if len(kept) > max_frames:
        kept = [kept[(2 * i + 1) * len(kept) // (2 * max_frames)] for i in range(max_frames)]
    return tuple(kept)


def sample_videos(sample: Sample, kept_fps: float | None, max_frames: int) -> Sample:
    """The sample with only the shown frames left in its videos."""
    if not any(isinstance(part, VideoPart) for turn in sample.turns for part in turn.parts):
        return sample

    def shown(part: Part) -> Part:
        if not isinstance(part, VideoPart):
            return part
        chosen = chosen_frames(len(part.frames), part.fps or 0.0, kept_fps, max_frames)
        return replace(part, frames=tuple(part.frames[i] for i in chosen))

    def turns(messages: Sequence[Message]) -> tuple[Message, ...]:
        return tuple(replace(turn, parts=tuple(map(shown, turn.parts))) for turn in messages)

    if sample.preference is not None:
        return replace(sample, preference=replace(sample.preference, prompt=turns(sample.preference.prompt)))
    return replace(sample, messages=turns(sample.messages))


def shown_rows(
    media: Rows, owners: NDArray[np.int64], kept_fps: float | None, max_frames: int
) -> NDArray[np.bool_]:
    """Which media rows are shown: all but the frames that sampling leaves out.

    Args:
        media: rows of MEDIA_DTYPE, those of a sample adjacent.
        owners: number of the sample of each row.
    """
    shown, video = np.ones(len(media), dtype=bool), media["video"]
    if not video.any():
        return shown
    changes = (np.diff(video.astype(np.int64)) != 0) | (np.diff(owners) != 0)
    bounds = [0, *(np.flatnonzero(changes) + 1).tolist(), len(media)]
    for begin, end in pairwise(bounds):
        if video[begin]:
            chosen = chosen_frames(end - begin, float(media["fps"][begin]), kept_fps, max_frames)
            shown[begin:end] = False
            shown[begin + np.array(chosen)] = True
    return shown
