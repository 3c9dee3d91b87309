"""Packing: best-fit decreasing, the longest sample first into the fullest pack that still holds it."""

from bisect import bisect_left, insort

import numpy as np
from numpy.typing import NDArray


def pack_best_fit(lengths: NDArray[np.int64], capacity: int) -> NDArray[np.int64]:
    """Number of the pack of each item, packs numbered in the order in which they are opened.

    Every item is in exactly one pack and no pack exceeds `capacity`. Equal lengths keep their order,
    so the result depends on `lengths` alone.

    Args:
        lengths: tokens of each item, 1 .. capacity.
        capacity: tokens a pack holds.
    """
    if len(lengths) == 0:
        return np.zeros(0, dtype=np.int64)
    assert int(lengths.min()) >= 1 and int(lengths.max()) <= capacity, "a pack holds the longest item"
    packs = np.empty(len(lengths), dtype=np.int64)
    rooms: list[int] = []  # distinct rooms of open packs, ascending
    packs_by_room: dict[int, list[int]] = {}
    num_packs = 0
    order = np.argsort(-lengths, kind="stable")
    for item, size in zip(order.tolist(), lengths[order].tolist(), strict=True):
        place = bisect_left(rooms, size)
        if place == len(rooms):
            pack, left = num_packs, capacity - size
            num_packs += 1
        else:
            room = rooms[place]
            candidates = packs_by_room[room]
            pack, left = candidates.pop(), room - size
            if not candidates:
                del rooms[place], packs_by_room[room]
        packs[item] = pack
        if left in packs_by_room:
            packs_by_room[left].append(pack)
        elif left:
            packs_by_room[left] = [pack]
            insort(rooms, left)
    return packs
