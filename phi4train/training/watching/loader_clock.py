"""Measures how long training waits for data, and lets the ranks tell each other what a step holds."""

import time
from collections.abc import Iterator
from dataclasses import replace

from torch.utils.data import DataLoader

from phi4train.data.batches.loader import StepBatch, StepFacts
from phi4train.ranks import Ranks


class LoaderClock:
    """Hands on the batches of a loader with the facts of the global batch; adds up the seconds of waiting.

    Args:
        loader: of this rank's shares.
        ranks: that share each step.
    """

    def __init__(self, loader: DataLoader[StepBatch], ranks: Ranks) -> None:
        self._loader = loader
        self._ranks = ranks
        self._seconds = 0.0

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[StepBatch]:
        batches = iter(self._loader)
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            if batch is not None and self._ranks.size > 1:
                batch = replace(batch, whole=StepFacts.of_all(self._ranks.gather(batch.own_facts)))
            self._seconds += time.perf_counter() - started
            if batch is None:
                return
            yield batch

    def take_seconds(self) -> float:
        """Seconds waited since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds
