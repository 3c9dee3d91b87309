"""Shares of a step cost about the same, and no item is lost or dealt twice."""

from collections.abc import Sequence

import numpy as np
import pytest

from phi4train.data.order.dealing import SampleCosts, VirtualRanks, deal


def imbalance(costs: Sequence[float], shares: Sequence[Sequence[int]]) -> float:
    """The dearest share over the mean share; 1 is even."""
    loads = [sum(costs[i] for i in share) for share in shares]
    total = sum(loads)
    return max(loads) * len(loads) / total if total else 1.0


@pytest.mark.parametrize("number", [1, 2, 4, 8])
def test_every_item_is_dealt_once_and_shares_are_in_order(number: int) -> None:
    costs = np.random.default_rng(number).gamma(0.5, 100, 50).tolist()
    shares = deal(costs, number)
    assert len(shares) == number and sorted(i for share in shares for i in share) == list(range(50))
    assert all(share == sorted(share) for share in shares)
    assert imbalance(costs, shares) <= 4 / 3 * max(1.0, max(costs) * number / sum(costs))


def test_images_among_texts_are_spread_over_the_shares() -> None:
    """Eight dear images in a row, then short texts: adjacent or alternating shares would be uneven."""
    costs = [1000.0] * 8 + [10.0] * 80
    in_halves = [list(range(44)), list(range(44, 88))]
    assert imbalance(costs, in_halves) > 1.8
    assert imbalance(costs, deal(costs, 2)) == pytest.approx(1.0)


def test_a_step_without_items_is_even_and_more_shares_than_items_leaves_some_empty() -> None:
    assert deal([], 2) == [[], []] and imbalance([], [[], []]) == 1.0
    assert sorted(map(len, deal([3.0, 1.0], 4))) == [0, 0, 1, 1]


def test_a_text_costs_its_tokens_and_their_attention() -> None:
    costs = SampleCosts(pair=0.01).of_texts(np.array([0, 10, 100]))
    assert costs.tolist() == [0, 10 + 0.01 * 50, 100 + 0.01 * 5000]


def test_ranks_have_adjacent_virtual_ranks_of_which_none_is_left_out() -> None:
    for size in (1, 2, 4):
        own = [VirtualRanks.of_rank(4, rank, size).own for rank in range(size)]
        assert [number for part in own for number in part] == [0, 1, 2, 3]
    with pytest.raises(AssertionError, match="4 virtual ranks on 3"):
        VirtualRanks.of_rank(4, 0, 3)
