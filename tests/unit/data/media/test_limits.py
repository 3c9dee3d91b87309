"""Limits travel to worker processes, and none of them stays unsaid."""

import pickle
from dataclasses import MISSING, FrozenInstanceError, fields, replace

import pytest

from phi4train.data.media.limits import Limits
from tests.unit.data.small_shards import limits_of

LIMITS = limits_of(64)


def test_no_limit_has_a_default_of_its_own() -> None:
    assert [field.name for field in fields(Limits) if field.default is not MISSING] == []


def test_the_most_tokens_of_a_sample_are_those_of_all_its_branches() -> None:
    assert (LIMITS.sample_tokens, replace(LIMITS, num_branches=2).sample_tokens) == (64, 128)


def test_limits_are_values_that_cannot_be_written_to() -> None:
    assert pickle.loads(pickle.dumps(LIMITS)) == LIMITS != replace(LIMITS, max_frames=1)
    assert len({LIMITS, replace(LIMITS), replace(LIMITS, video_fps=1.0)}) == 2
    with pytest.raises(FrozenInstanceError):
        LIMITS.context_tokens = 1  # type: ignore[misc]
