"""Measures how long training waits for data, around any iterable of batches."""

import time
from collections.abc import Iterator

from torch.utils.data import DataLoader

from phi4train.data.batches.loader import StepBatch


class LoaderClock:
    """Hands on the batches of a loader and adds up the seconds spent waiting for them."""

    def __init__(self, loader: DataLoader[StepBatch]) -> None:
        self._loader = loader
        self._seconds = 0.0

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[StepBatch]:
        batches = iter(self._loader)
        while True:
            started = time.perf_counter()
            batch = next(batches, None)
            self._seconds += time.perf_counter() - started
            if batch is None:
                return
            yield batch

    def take_seconds(self) -> float:
        """Seconds waited since the last call."""
        seconds, self._seconds = self._seconds, 0.0
        return seconds
