"""The processes that share a step: which one is this, and the few things that they tell each other."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

_Value = TypeVar("_Value")


class Ranks(Protocol):
    """All processes of a run; every one of them makes the same calls in the same order."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def size(self) -> int:
        """How many processes there are."""

    def sum(self, values: Sequence[int]) -> list[int]:
        """Each value summed over all ranks."""

    def any(self, flag: bool) -> bool:
        """Whether a rank has its flag set."""

    def broadcast(self, value: _Value) -> _Value:
        """The value of rank 0."""

    def barrier(self) -> None:
        """Returns when every rank has come here."""


class OneRank:
    """A run of a single process."""

    rank = 0
    size = 1

    def sum(self, values: Sequence[int]) -> list[int]:
        """The values."""
        return list(values)

    def any(self, flag: bool) -> bool:
        """The flag."""
        return flag

    def broadcast(self, value: _Value) -> _Value:
        """The value."""
        return value

    def barrier(self) -> None:
        """Returns at once."""
