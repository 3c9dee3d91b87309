"""An interval of a share is as published."""

import pytest

from phi4train.evaluation.metrics.intervals import wilson_interval


@pytest.mark.parametrize(
    ("correct", "samples", "low", "high"),
    [(8, 10, 0.4902, 0.9433), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)],
)
def test_wilsons_interval_has_its_published_values(
    correct: int, samples: int, low: float, high: float
) -> None:
    assert wilson_interval(correct, samples) == pytest.approx((low, high), abs=1e-4)


def test_more_samples_make_the_interval_narrower() -> None:
    widths = [high - low for low, high in (wilson_interval(n // 2, n) for n in (10, 100, 1000))]
    assert widths == sorted(widths, reverse=True)
