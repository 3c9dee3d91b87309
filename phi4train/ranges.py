"""Ranges of numbers, written beside the field that they hold for: `Annotated[int, Above(0)]`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Above:
    """Numbers larger than a bound; like every range, it does not hold nan."""

    low: float

    def __contains__(self, number: float) -> bool:
        return number > self.low

    def __str__(self) -> str:
        return f"above {self.low}"


@dataclass(frozen=True)
class AtLeast:
    """A bound and all numbers larger than it."""

    low: float

    def __contains__(self, number: float) -> bool:
        return number >= self.low

    def __str__(self) -> str:
        return f"at least {self.low}"


@dataclass(frozen=True)
class Below:
    """Numbers smaller than a bound."""

    high: float

    def __contains__(self, number: float) -> bool:
        return number < self.high

    def __str__(self) -> str:
        return f"below {self.high}"


@dataclass(frozen=True)
class Between:
    """Two bounds and all numbers between them."""

    low: float
    high: float

    def __contains__(self, number: float) -> bool:
        return self.low <= number <= self.high

    def __str__(self) -> str:
        return f"between {self.low} and {self.high}"


Range = Above | AtLeast | Below | Between
"""What may stand in `Annotated` behind a number; several must all hold."""
