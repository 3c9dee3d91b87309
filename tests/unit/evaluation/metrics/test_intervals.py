"""An interval of a share is as published, and one of a rate covers the true one as often as it says."""

import numpy as np
import pytest

from phi4train.evaluation.metrics.intervals import bootstrap_interval, wilson_interval


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


def corpus(seed: int, samples: int) -> list[tuple[int, int]]:
    """Errors and words of samples of 1 to 12 words, each wrong with a chance of 1 in 4."""
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 13, size=samples)
    return [(int(generator.binomial(n, 0.25)), int(n)) for n in lengths]


def test_nineteen_of_twenty_intervals_hold_the_true_rate() -> None:
    found = [bootstrap_interval(corpus(seed, 60)) for seed in range(1, 101)]
    held = sum(interval is not None and interval[0] <= 0.25 <= interval[1] for interval in found)
    assert 90 <= held <= 99


def test_an_interval_of_a_rate_is_the_same_every_time_and_narrower_with_more_samples() -> None:
    counts = corpus(0, 40)
    assert bootstrap_interval(counts) == bootstrap_interval(counts)
    widths = [
        high - low for n in (20, 200, 2000) for low, high in [bootstrap_interval(corpus(0, n)) or (0, 0)]
    ]
    assert widths == sorted(widths, reverse=True) and widths[-1] > 0


def test_longer_samples_weigh_more() -> None:
    assert bootstrap_interval([(5, 10), (50, 100)]) == pytest.approx((0.5, 0.5))
    low, high = bootstrap_interval([(0, 1), (10, 10)] * 50) or (0, 0)
    assert low > 0.8 and high <= 1


@pytest.mark.parametrize("counts", [[], [(1, 4)], [(0, 4), (0, 9)]])
def test_where_resampling_tells_nothing_there_is_no_interval(counts: list[tuple[int, int]]) -> None:
    assert bootstrap_interval(counts) is None


def test_samples_without_a_unit_count_their_errors() -> None:
    assert bootstrap_interval([(2, 0), (2, 0)]) == (4.0, 4.0)
