"""Each sample once an epoch, in an order of the epoch's own, read shard by shard."""

from collections.abc import Sequence

import numpy as np

from phi4train.data.order.source_order import WINDOW_SHARDS, SourceOrder
from phi4train.data.shards.mixture import ArrayTable, MixtureSource
from phi4train.data.shards.tables import MEDIA_DTYPE, SAMPLE_DTYPE


def source(counts: Sequence[int]) -> MixtureSource:
    none = np.zeros(0, dtype=MEDIA_DTYPE)
    return MixtureSource(
        "a", 1.0, [ArrayTable(np.zeros(count, dtype=SAMPLE_DTYPE), none) for count in counts]
    )


def test_within_an_epoch_every_sample_comes_once_in_exact_order() -> None:
    plans = SourceOrder(source([37, 0, 41, 29]), key=5)
    for epoch in range(3):
        shards, rows = plans.locate(epoch * 107, 107)
        assert len(set(zip(shards.tolist(), rows.tolist(), strict=True))) == 107
    whole = [plans.locate(position, 1) for position in range(214)]
    shards, rows = plans.locate(0, 214)
    assert [int(shard[0]) for shard, _ in whole] == shards.tolist()
    assert [int(row[0]) for _, row in whole] == rows.tolist()


def test_epochs_differ_and_reads_stay_inside_a_window_of_shards() -> None:
    plans = SourceOrder(source([20] * 40), key=1)
    one, two = (plans.locate(epoch * 800, 800) for epoch in range(2))
    assert one[1].tolist() != two[1].tolist() and one[0].tolist() != two[0].tolist()
    window = WINDOW_SHARDS * 20
    for start in range(0, 800, window):
        assert len(set(one[0][start : start + window].tolist())) == WINDOW_SHARDS
