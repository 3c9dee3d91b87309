"""Lightning sees the ranks as they are."""

from typing import TypeVar

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only

from phi4train.ranks import OneRank
from phi4train.training.strategy import RanksStrategy

Value = TypeVar("Value")
CPU = torch.device("cpu")


class SecondOfTwo(OneRank):
    """Rank 1, beside a rank 0 that says the same."""

    rank, size, is_first = 1, 2, False

    def gather(self, value: Value) -> list[Value]:
        """The value twice."""
        return [value, value]


@pytest.fixture(autouse=True)
def rank_zero_as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 0)


def test_one_process_is_the_first_of_one() -> None:
    strategy = RanksStrategy(OneRank(), CPU)
    assert (strategy.global_rank, strategy.world_size, strategy.is_global_zero) == (0, 1, True)
    tensor = torch.ones(2)
    assert strategy.all_gather(tensor) is tensor and strategy.reduce(tensor, reduce_op="sum") is tensor
    strategy.barrier()


def test_one_of_two_knows_its_place_and_reduces_over_both() -> None:
    strategy = RanksStrategy(SecondOfTwo(), CPU)
    assert (strategy.global_rank, strategy.world_size, strategy.is_global_zero) == (1, 2, False)
    assert rank_zero_only.rank == 1  # type: ignore[attr-defined]
    tensor = torch.tensor([1, 4])
    assert strategy.all_gather(tensor).tolist() == [[1, 4], [1, 4]]
    assert strategy.reduce(tensor, reduce_op="sum").tolist() == [2, 8]
    assert strategy.reduce(tensor).tolist() == [1, 4] and strategy.reduce("text") == "text"
    assert strategy.broadcast({"a": 1}) == {"a": 1}
