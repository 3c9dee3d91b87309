"""How many virtual ranks a run has: fixed at its first start, kept whatever the number of processes later."""

from collections.abc import Mapping
from typing import Any

from phi4train.data.order.dealing import VirtualRanks
from phi4train.errors import ResumeError
from phi4train.ranks import Ranks

KEY = "virtual_ranks"
"""Of the number in a checkpoint's progress."""


def virtual_ranks(asked: int, ranks: Ranks, progress: Mapping[str, Any] | None) -> VirtualRanks:
    """The virtual ranks of the run, and which of them are this process's.

    Args:
        asked: `hardware.virtual_ranks`; 0: as many as the run began with, or as there are processes.
        ranks: the processes.
        progress: of the checkpoint to go on from; None: the run begins.

    Raises:
        ResumeError: the run began with another number, or the processes do not divide it.
    """
    recorded = progress.get(KEY, 1) if progress is not None else asked or ranks.size
    if asked and asked != recorded:
        raise ResumeError(
            "hardware.virtual_ranks must stay what the run began with, for it decides the bits of its sums · "
            f"found {asked}, and {recorded} in its checkpoint · set hardware.virtual_ranks=0, which keeps it"
        )
    if recorded % ranks.size:
        powers = [2**i for i in range(recorded.bit_length()) if recorded % 2**i == 0]
        raise ResumeError(
            f"the number of processes must divide the run's {recorded} virtual ranks · found {ranks.size} · "
            f"start it on {' or '.join(map(str, powers))}; a new run has more with hardware.virtual_ranks=<n>"
        )
    return VirtualRanks.of_rank(recorded, ranks.rank, ranks.size)
