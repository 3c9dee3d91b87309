"""The rows of an index: their columns, and what has them."""

from typing import Protocol

import numpy as np

from phi4train.data.media.kind import Rows

MAX_BRANCHES = 2

MAX_TASKS = 4096
"""Most names of tasks in a shard, and in a mixture: each is measured and reported by itself."""

SAMPLE_DTYPE = np.dtype(
    [
        ("offset", "<u8"),  # of the JSON member's content in the shard, bytes
        ("size", "<u4"),  # of the JSON member, bytes
        ("key_end", "<u8"),  # end of the key in keys.npy; it begins where the previous one ends
        ("media_start", "<u4"),  # first row in media.npy
        ("media_count", "<u2"),
        ("shape", "u1"),  # position in RECORD_SHAPES
        ("mode", "u1"),  # position in IndexSummary.modes
        ("cause", "u1"),  # 0: usable; otherwise 1 + position in IndexSummary.causes
        ("task", "<u2"),  # position in IndexSummary.tasks
        ("branches", "u1"),  # sequences that it trains; 0 where it is not usable
        ("text_tokens", "<u4", (MAX_BRANCHES,)),  # of each branch, tokens without media; 0 beyond the last
        ("target_tokens", "<u4", (MAX_BRANCHES,)),  # of each branch, positions that carry a label
    ]
)


MEDIA_DTYPE = np.dtype(
    [
        ("kind", "u1"),  # position in IndexSummary.media_kinds
        ("offset", "<u8"),  # of the member's content in the shard, bytes
        ("size", "<u4"),  # bytes
        ("width", "<u4"),  # these four: MediaSize, as the kind measured it
        ("height", "<u4"),
        ("frames", "<u8"),
        ("sample_rate", "<u4"),
        ("video", "<u2"),  # number of the video in the sample, from 1, whose frame it is; 0: of none
        ("fps", "<f8"),  # of that video; 0: unknown
    ]
)


RECORD_SHAPES = ("text", "messages", "preference")


class SampleTable(Protocol):
    """The rows of one shard, on disk or in memory."""

    @property
    def num_samples(self) -> int:
        """Rows of `samples`."""

    @property
    def samples(self) -> Rows:
        """Rows of SAMPLE_DTYPE."""

    @property
    def media(self) -> Rows:
        """Rows of MEDIA_DTYPE."""

    @property
    def causes(self) -> tuple[str, ...]:
        """Names behind the `cause` column."""

    @property
    def media_kinds(self) -> tuple[str, ...]:
        """Names behind the `kind` column of the media."""
