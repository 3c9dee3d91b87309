"""The clock hands on every batch of its loader and knows how long each took."""

from collections.abc import Iterator
from typing import Any

import pytest

from phi4train.ranks import OneRank
from phi4train.training.watching import loader_clock
from phi4train.training.watching.loader_clock import LoaderClock


class Loader:
    """Takes two seconds for a batch, on a clock that only it moves."""

    now = 0.0

    def __len__(self) -> int:
        return 3

    def __iter__(self) -> Iterator[str]:
        for batch in "abc":
            self.now += 2
            yield batch


@pytest.fixture
def loader(monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Loader()
    monkeypatch.setattr(loader_clock.time, "perf_counter", lambda: made.now)
    return made


def test_batches_pass_in_order_and_may_be_asked_for_again(loader: Any) -> None:
    clock = LoaderClock(loader, OneRank())
    assert len(clock) == 3
    assert list(clock) == list(clock) == ["a", "b", "c"]


def test_only_the_wait_for_data_is_measured_and_it_is_taken_once(loader: Any) -> None:
    clock = LoaderClock(loader, OneRank())
    for _ in clock:
        assert clock.take_seconds() == 2
        loader.now += 100  # the step itself
    assert clock.take_seconds() == 0


def test_seconds_add_up_until_they_are_taken(loader: Any) -> None:
    clock = LoaderClock(loader, OneRank())
    assert list(clock) and clock.take_seconds() == 6
