"""The endless order of the samples of one source.

source position --divmod--> epoch, place in epoch
epoch: shards in a keyed order; samples permuted inside windows of `WINDOW_SHARDS` shards
"""

from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray

from phi4train.data.order.permutation import derive_key, permute
from phi4train.data.shards.mixture import MixtureSource

WINDOW_SHARDS = 8
"""Shards inside which samples are shuffled: more mixes better, fewer read more locally."""

Ints = NDArray[np.int64]


class SourceOrder:
    """The endless order of one source: epoch after epoch, each shuffled anew."""

    def __init__(self, source: MixtureSource, key: int) -> None:
        self._counts = np.array([table.num_samples for table in source.tables], dtype=np.int64)
        self._num_samples = int(self._counts.sum())
        self._key = key
        self._epochs: OrderedDict[int, tuple[Ints, Ints]] = OrderedDict()

    def locate(self, position: int, count: int) -> tuple[Ints, Ints]:
        """(shard, row) of the samples at `position` .. `position + count - 1`."""
        shards, rows = [], []
        while count:
            epoch, begin = divmod(position, self._num_samples)
            taken = min(count, self._num_samples - begin)
            shard, row = self._locate_in_epoch(epoch, begin, taken)
            shards.append(shard)
            rows.append(row)
            position += taken
            count -= taken
        return np.concatenate(shards), np.concatenate(rows)

    def _locate_in_epoch(self, epoch: int, begin: int, count: int) -> tuple[Ints, Ints]:
        shard_order, ends = self._epoch(epoch)
        places = np.arange(begin, begin + count, dtype=np.int64)
        windows = np.searchsorted(ends, places, side="right") // WINDOW_SHARDS
        located = np.empty(count, dtype=np.int64)
        for window in np.unique(windows):
            chosen = windows == window
            first = int(ends[window * WINDOW_SHARDS - 1]) if window else 0
            last = int(ends[min((window + 1) * WINDOW_SHARDS, len(ends)) - 1])
            key = derive_key(self._key, epoch, 1 + int(window))
            located[chosen] = first + permute(places[chosen] - first, last - first, key)
        ordinals = np.searchsorted(ends, located, side="right")
        starts = ends[ordinals] - self._counts[shard_order[ordinals]]
        return shard_order[ordinals], located - starts

    def _epoch(self, epoch: int) -> tuple[Ints, Ints]:
        """Shards in the epoch's order, and where each ends."""
        if epoch not in self._epochs:
            while len(self._epochs) >= 2:
                self._epochs.popitem(last=False)
            order = permute(
                np.arange(len(self._counts), dtype=np.int64),
                len(self._counts),
                derive_key(self._key, epoch, 0),
            )
            self._epochs[epoch] = (order, np.cumsum(self._counts[order]))
        return self._epochs[epoch]
