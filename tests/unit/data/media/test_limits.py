"""Limits travel to worker processes, and nothing writes to them."""

import pickle
from dataclasses import FrozenInstanceError, replace

import pytest

from tests.unit.data.small_shards import limits_of

LIMITS = limits_of(64)


def test_limits_are_values_that_cannot_be_written_to() -> None:
    assert pickle.loads(pickle.dumps(LIMITS)) == LIMITS != replace(LIMITS, max_frames=1)
    assert len({LIMITS, replace(LIMITS), replace(LIMITS, video_fps=1.0)}) == 2
    with pytest.raises(FrozenInstanceError):
        LIMITS.context_tokens = 1  # type: ignore[misc]
