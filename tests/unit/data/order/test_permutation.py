"""Keyed permutations: bijections for every size and key, different for different keys."""

import numpy as np
import pytest

from phi4train.data.order.permutation import derive_key, permute, shuffled

GOLDEN_KEY = 7880084159944792621
GOLDEN_PERMUTATION = [2, 1, 3, 5, 0, 6, 4, 7]
GOLDEN_SHUFFLE = [6, 2, 0, 4, 3, 5, 7, 1]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 1000, 4097])
@pytest.mark.parametrize("key", [0, 1, 2**63 + 5])
def test_every_position_is_hit_once(size: int, key: int) -> None:
    assert sorted(permute(np.arange(size), size, key).tolist()) == list(range(size))
    assert sorted(shuffled(size, key).tolist()) == list(range(size))


def test_one_position_costs_no_more_than_itself() -> None:
    size = 10**15
    some = np.array([0, 1, size - 1])
    assert permute(some, size, 3).tolist() == [int(permute(some[i : i + 1], size, 3)[0]) for i in range(3)]
    assert (permute(some, size, 3) < size).all()


def test_keys_give_different_orders() -> None:
    orders = {tuple(permute(np.arange(50), 50, key).tolist()) for key in range(50)}
    shuffles = {tuple(shuffled(50, key).tolist()) for key in range(50)}
    assert len(orders) == len(shuffles) == 50


def test_a_permutation_leaves_no_more_in_place_and_in_line_than_chance() -> None:
    order = permute(np.arange(10_000), 10_000, 11)
    assert (order == np.arange(10_000)).sum() < 12
    assert abs(float(np.corrcoef(order, np.arange(10_000))[0, 1])) < 0.05


def test_derived_keys_depend_on_each_part_and_their_order() -> None:
    assert (
        len({derive_key(1, 2), derive_key(2, 1), derive_key(1, 2, 0), derive_key(1), derive_key(-1, 2)}) == 5
    )


def test_the_orders_are_the_ones_that_runs_were_started_with() -> None:
    # a changed value here changes the data order of every run that is resumed: raise ORDER_VERSION
    assert derive_key(0, 1, 2) == GOLDEN_KEY
    assert permute(np.arange(8), 8, 1).tolist() == GOLDEN_PERMUTATION
    assert shuffled(8, 1).tolist() == GOLDEN_SHUFFLE
