"""Packing: every item once, no pack over its capacity, packs nearly full."""

import numpy as np
import pytest

from phi4train.data.order.packing import pack_best_fit


def random_lengths(seed: int) -> tuple[np.ndarray, int]:
    rng = np.random.default_rng(seed)
    capacity = int(rng.integers(1, 400))
    return rng.integers(1, capacity + 1, rng.integers(1, 120)), capacity


def naive_best_fit(lengths: np.ndarray, capacity: int) -> list[int]:
    rooms: list[int] = []
    for size in sorted(lengths.tolist(), reverse=True):
        fitting = [i for i, room in enumerate(rooms) if room >= size]
        if not fitting:
            rooms.append(capacity)
            fitting = [len(rooms) - 1]
        rooms[min(fitting, key=lambda i: rooms[i])] -= size
    return sorted(rooms)


@pytest.mark.parametrize("seed", range(40))
def test_packs_hold_every_item_once_and_are_as_full_as_naive_best_fit(seed: int) -> None:
    lengths, capacity = random_lengths(seed)
    packs = pack_best_fit(lengths, capacity)
    filled = np.bincount(packs, weights=lengths)
    assert len(packs) == len(lengths) and filled.max() <= capacity
    assert sorted(set(packs.tolist())) == list(range(len(filled)))
    assert sorted((capacity - filled).astype(int).tolist()) == naive_best_fit(lengths, capacity)


def test_packs_of_many_samples_are_nearly_full() -> None:
    lengths = np.minimum(np.random.default_rng(0).lognormal(5.5, 1, 5000).astype(np.int64) + 1, 4096)
    packs = pack_best_fit(lengths, 4096)
    assert lengths.sum() / (4096 * (packs.max() + 1)) > 0.99


def test_the_same_lengths_always_give_the_same_packs() -> None:
    lengths, capacity = random_lengths(7)
    assert pack_best_fit(lengths, capacity).tolist() == pack_best_fit(lengths.copy(), capacity).tolist()


def test_nothing_packs_into_nothing() -> None:
    assert len(pack_best_fit(np.zeros(0, dtype=np.int64), 8)) == 0
