"""Totals of media count what a model would see, by kind."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from phi4train.data.inspection.media_totals import add_media_totals, render_media_totals
from phi4train.data.media.limits import Limits
from phi4train.data.shards.mixture import ArrayTable
from phi4train.data.shards.tables import MEDIA_DTYPE, SAMPLE_DTYPE


@pytest.fixture
def table() -> ArrayTable:
    """Three samples: two images, a clip, and a video of eight frames."""
    samples = np.zeros(3, SAMPLE_DTYPE)
    samples["media_start"], samples["media_count"] = [0, 2, 3], [2, 1, 8]
    media = np.zeros(11, MEDIA_DTYPE)
    media["kind"] = [0, 0, 1, *[0] * 8]
    media["width"] = media["height"] = 1000
    media["frames"][2], media["sample_rate"][2] = 8_000 * 3600, 8_000
    media["video"][3:], media["fps"][3:] = 1, 2.0
    return ArrayTable(samples, media, media_kinds=("image", "audio"))


def test_amounts_add_up_over_tables_and_only_over_the_samples_that_are_given(
    table: ArrayTable, limits: Limits
) -> None:
    totals: dict[str, Counter[str]] = {}
    add_media_totals(totals, table, table.samples[:1], limits)
    assert totals == {"image": {"items": 2, "megapixels": pytest.approx(2)}}
    add_media_totals(totals, table, table.samples[:2], limits)
    assert totals["image"] == {"items": 4, "megapixels": pytest.approx(4)}
    assert totals["audio"] == {"items": 1, "hours": pytest.approx(1), "clips at 8000 Hz": 1}


def test_of_a_video_only_the_frames_that_are_shown_count(table: ArrayTable, limits: Limits) -> None:
    for changes, shown in (({}, 8), ({"max_frames": 3}, 3), ({"video_fps": 1.0}, 4)):
        totals: dict[str, Counter[str]] = {}
        add_media_totals(totals, table, table.samples[2:], replace(limits, **changes))
        assert totals["image"]["items"] == shown, changes


def test_lines_are_sorted_and_keep_digits_of_small_amounts() -> None:
    totals = {"image": {"items": 1234, "megapixels": 5.678}, "audio": {"items": 2, "hours": 0.000972}}
    assert render_media_totals(totals) == [
        "audio: 2 items, 0.000972 hours",
        "image: 1,234 items, 5.68 megapixels",
    ]
    assert render_media_totals({}) == []
