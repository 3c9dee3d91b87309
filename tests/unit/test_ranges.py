"""Ranges that stand beside the fields they hold for."""

import math

import pytest

from phi4train.ranges import Above, AtLeast, Below, Between, Range


@pytest.mark.parametrize(
    ("allowed", "inside", "outside", "text"),
    [
        (Above(0), (1, 1e-9), (0, -1), "above 0"),
        (AtLeast(0), (0, 1), (-1, -1e-9), "at least 0"),
        (Below(1), (0.99, -5), (1, 2), "below 1"),
        (Between(0, 1), (0, 0.5, 1), (-0.01, 1.01), "between 0 and 1"),
    ],
)
def test_a_range_holds_its_numbers_and_says_which(
    allowed: Range, inside: tuple[float, ...], outside: tuple[float, ...], text: str
) -> None:
    assert all(number in allowed for number in inside)
    assert not any(number in allowed for number in (*outside, math.nan))
    assert str(allowed) == text
