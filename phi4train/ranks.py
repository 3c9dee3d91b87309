"""The processes that share a step: which one is this, and the few things that they tell each other."""

import atexit
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist

_Value = TypeVar("_Value")


class Ranks(Protocol):
    """All processes of a run; every one of them makes the same calls in the same order."""

    @property
    def rank(self) -> int:
        """Number of this process, from 0."""

    @property
    def size(self) -> int:
        """How many processes there are."""

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which prints and publishes."""

    def sum(self, values: Sequence[int]) -> list[int]:
        """Each value summed over all ranks."""

    def any(self, flag: bool) -> bool:
        """Whether a rank has its flag set."""

    def gather(self, value: _Value) -> list[_Value]:
        """The values of all ranks, by rank, on all ranks."""

    def each(self, function: Callable[[], _Value]) -> list[_Value]:
        """What the function returns on each rank, on all ranks; what it raises on one is raised on all."""

    def from_first(self, function: Callable[[], _Value]) -> _Value:
        """What the function returns, or raises, on rank 0, which alone calls it: on all ranks."""

    def barrier(self) -> None:
        """Returns when every rank has come here."""


class OneRank:
    """A run of a single process."""

    rank = 0
    size = 1
    is_first = True

    def sum(self, values: Sequence[int]) -> list[int]:
        """The values."""
        return list(values)

    def any(self, flag: bool) -> bool:
        """The flag."""
        return flag

    def gather(self, value: _Value) -> list[_Value]:
        """The value."""
        return [value]

    def each(self, function: Callable[[], _Value]) -> list[_Value]:
        """What the function returns or raises."""
        return [function()]

    def from_first(self, function: Callable[[], _Value]) -> _Value:
        """What the function returns or raises."""
        return function()

    def barrier(self) -> None:
        """Returns at once."""


@dataclass(frozen=True)
class ProcessRanks:
    """The ranks of torch's process group, which `join` has made; see Ranks."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """See Ranks."""
        return self.rank == 0

    def sum(self, values: Sequence[int]) -> list[int]:
        """See Ranks."""
        total = torch.tensor(list(values), dtype=torch.int64, device=self.device)
        dist.all_reduce(total)
        summed: list[int] = total.tolist()
        return summed

    def any(self, flag: bool) -> bool:
        """See Ranks."""
        return self.sum([flag])[0] > 0

    def gather(self, value: _Value) -> list[_Value]:
        """See Ranks."""
        found: list[Any] = [None] * self.size
        dist.all_gather_object(found, value)
        return found

    def each(self, function: Callable[[], _Value]) -> list[_Value]:
        """See Ranks."""
        return [_value_of(outcome) for outcome in self.gather(_outcome(function))]

    def from_first(self, function: Callable[[], _Value]) -> _Value:
        """See Ranks."""
        told: list[Any] = [_outcome(function) if self.is_first else None]
        dist.broadcast_object_list(told, src=0, device=self.device)
        value: _Value = _value_of(told[0])
        return value

    def barrier(self) -> None:
        """See Ranks."""
        dist.barrier()


def _outcome(function: Callable[[], _Value]) -> tuple[_Value | None, Exception | None]:
    """What a function returns, or what it raises."""
    try:
        return function(), None
    except Exception as error:
        return None, error


def _value_of(outcome: tuple[Any, Exception | None]) -> Any:
    """What the function returned, or its exception raised."""
    value, error = outcome
    if error is not None:
        raise error
    return value


def join(device: torch.device, timeout_seconds: float) -> Ranks:
    """The ranks of which this process is one, by the variables of its launcher; OneRank without them.

    Args:
        device: of this rank; CUDA devices talk by NCCL, the CPU by gloo.
        timeout_seconds: how long a rank waits for the others before it gives up.
    """
    if "RANK" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        return OneRank()
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if device.index is not None:
        torch.cuda.set_device(device)
    if not dist.is_initialized():
        backend = "nccl" if device.type == "cuda" else "gloo"
        dist.init_process_group(backend, timeout=timedelta(seconds=timeout_seconds))
        atexit.register(dist.destroy_process_group)
    return ProcessRanks(rank, size, device)
