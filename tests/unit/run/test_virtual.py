"""The number of virtual ranks is that of the run's first start, and processes divide it."""

import pytest

from phi4train.errors import ResumeError
from phi4train.ranks import OneRank
from phi4train.run.virtual import virtual_ranks


class Fourth(OneRank):
    rank, size = 3, 4


def test_a_run_begins_with_what_is_asked_or_with_as_many_as_processes() -> None:
    assert virtual_ranks(0, OneRank(), None).number == 1
    assert virtual_ranks(8, OneRank(), None).own == range(8)
    assert virtual_ranks(0, Fourth(), None).own == range(3, 4)
    assert virtual_ranks(8, Fourth(), None).own == range(6, 8)


def test_a_run_goes_on_with_what_it_began_with() -> None:
    assert virtual_ranks(0, OneRank(), {"virtual_ranks": 4}).own == range(4)
    assert virtual_ranks(4, Fourth(), {"virtual_ranks": 4}).own == range(3, 4)
    with pytest.raises(ResumeError, match=r"found 2, and 4 in its checkpoint · set hardware.virtual_ranks=0"):
        virtual_ranks(2, OneRank(), {"virtual_ranks": 4})


def test_more_processes_than_virtual_ranks_are_refused_with_what_is_possible() -> None:
    with pytest.raises(ResumeError, match="2 virtual ranks · found 4 · start it on 1 or 2"):
        virtual_ranks(0, Fourth(), {"virtual_ranks": 2})
