"""A run of a single process hears from all others what it says itself."""

from phi4train.ranks import OneRank, Ranks


def test_one_rank_is_all_there_is() -> None:
    ranks: Ranks = OneRank()
    assert (ranks.rank, ranks.size) == (0, 1)
    values = [3, 0, 5]
    summed = ranks.sum(values)
    assert summed == values and summed is not values
    assert ranks.any(True) is True and ranks.any(False) is False
    state = {"step": 3}
    assert ranks.gather(state) == [state]
    assert ranks.from_first(lambda: state) is state
    ranks.barrier()
