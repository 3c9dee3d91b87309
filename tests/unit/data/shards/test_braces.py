"""Braces are counted before they are expanded."""

import pytest
from braceexpand import braceexpand

from phi4train.data.shards.braces import count_expanded, expand_braces
from phi4train.errors import ManifestError


@pytest.mark.parametrize(
    "pattern",
    [
        "a",
        "{0..3}",
        "{000..010..5}",
        "{3..-3}",
        "x{a,b{1..3},}y{0..1}",
        "{a}",
        "{a{1..3}b}",
        r"\{1..9\}",
        "{a,b},c",
    ],
)
def test_the_count_is_that_of_the_expansion(pattern: str) -> None:
    assert count_expanded(pattern) == len(expand_braces(pattern)) == len(list(braceexpand(pattern)))


@pytest.mark.parametrize(
    ("pattern", "number"),
    [
        ("{000000000..999999999}", "1,000,000,000"),
        ("{0..9999}{0..9999}", "100,000,000"),
        ("{a,{0..2000000}}", "2,000,002"),
        ("{0.." + "9" * 5000 + "}", "1,000,001"),
    ],
)
def test_a_pattern_of_too_many_shards_is_refused_with_the_count(pattern: str, number: str) -> None:
    with pytest.raises(ManifestError, match=f"must name at most 1,000,000 shards · found {number}, most of"):
        expand_braces(pattern)


@pytest.mark.parametrize("pattern", ["{a", "{" * 5000])
def test_unbalanced_braces_are_told(pattern: str) -> None:
    with pytest.raises(ManifestError, match="must be balanced"):
        expand_braces(pattern)
