"""Dealing: which virtual rank computes which samples of a global batch, so that all have as much to do.

A run has a fixed number of virtual ranks, whatever the number of processes that share their work, and
nothing of the deal depends on that number. A pack's samples do not see each other: they are dealt one by one.
"""

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class VirtualRanks:
    """How the work of a step is cut, whatever the number of processes, and the part of one of them.

    Args:
        number: shares of a step; fixed for a run.
        own: this process's shares, adjacent.
    """

    number: int = 1
    own: range = range(1)

    @classmethod
    def of_rank(cls, number: int, rank: int, size: int) -> "VirtualRanks":
        """The shares of rank `rank` of `size`, which divides `number`."""
        assert number % size == 0, f"{number} virtual ranks on {size}"
        own = number // size
        return cls(number, range(rank * own, (rank + 1) * own))


@dataclass(frozen=True)
class SampleCosts:
    """What computing a sample costs, in units of passing a token through the language model's matrices.

    Args:
        pair: of a token's attention to one token before it.
        slot: of a media token in its encoder, by kind; 0 where absent.
    """

    pair: float = 0.0
    slot: Mapping[str, float] = field(default_factory=dict)

    def of_texts(self, lengths: NDArray[np.int64]) -> NDArray[np.float64]:
        """Of passing sequences of these lengths through the language model."""
        cost: NDArray[np.float64] = lengths + self.pair * lengths.astype(np.float64) ** 2 / 2
        return cost


def deal(costs: Sequence[float], num_virtual: int) -> list[list[int]]:
    """Positions of the items of each virtual rank, ascending: the dearest first, each to whoever has least.

    No share costs more than 4/3 of the best deal's (Graham 1969, longest processing time first).
    """
    shares: list[list[int]] = [[] for _ in range(num_virtual)]
    loads = [(0.0, number) for number in range(num_virtual)]
    for position in sorted(range(len(costs)), key=lambda i: (-costs[i], i)):
        load, number = heapq.heappop(loads)
        shares[number].append(position)
        heapq.heappush(loads, (load + costs[position], number))
    return [sorted(share) for share in shares]
