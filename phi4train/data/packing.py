"""Packing: best-fit decreasing, the longest sample first into the fullest pack that still holds it."""

import numpy as np
from numpy.typing import NDArray


def pack_best_fit(lengths: NDArray[np.int64], capacity: int) -> NDArray[np.int64]:
    """Number of the pack of each item, packs numbered in the order in which they are opened.

    Every item is in exactly one pack and no pack exceeds `capacity`. Equal lengths keep their order,
    so the result depends on `lengths` alone. O(n log(capacity)).

    Args:
        lengths: tokens of each item, 1 .. capacity.
        capacity: tokens a pack holds.
    """
    if len(lengths) == 0:
        return np.zeros(0, dtype=np.int64)
    assert int(lengths.min()) >= 1 and int(lengths.max()) <= capacity, "every item must fit into a pack"
    packs = [0] * len(lengths)
    open_packs = _RoomTree(capacity)
    num_packs = 0
    order = np.argsort(-lengths, kind="stable").tolist()
    sizes = lengths.tolist()
    for item in order:
        size = sizes[item]
        found = open_packs.take(size)
        if found is None:
            room, pack = capacity, num_packs
            num_packs += 1
        else:
            room, pack = found
        packs[item] = pack
        if room > size:
            open_packs.put(room - size, pack)
    return np.asarray(packs, dtype=np.int64)


class _RoomTree:
    """Open packs by the room they have left: "least room that is at least x" in O(log capacity).

    A bit set of bit sets (64-ary tree, three levels cover 262,144 tokens) over the possible rooms.
    """

    def __init__(self, capacity: int) -> None:
        self._packs: dict[int, list[int]] = {}
        self._levels: list[list[int]] = []
        width = capacity + 1
        while True:
            width = (width + 63) // 64
            self._levels.append([0] * width)
            if width == 1:
                break

    def put(self, room: int, pack: int) -> None:
        """Adds a pack with `room` tokens left."""
        packs = self._packs.setdefault(room, [])
        packs.append(pack)
        for level in self._levels:
            level[room >> 6] |= 1 << (room & 63)
            room >>= 6

    def take(self, size: int) -> tuple[int, int] | None:
        """Removes and returns (room, pack) of the fullest pack with room for `size`."""
        room = self._least_at_least(size)
        if room is None:
            return None
        packs = self._packs[room]
        pack = packs.pop()
        if not packs:
            self._clear(room)
        return room, pack

    def _clear(self, room: int) -> None:
        for level in self._levels:
            word = room >> 6
            level[word] &= ~(1 << (room & 63))
            if level[word]:
                return
            room = word

    def _least_at_least(self, size: int) -> int | None:
        position = size
        for depth, level in enumerate(self._levels):
            word = position >> 6
            if word >= len(level):
                return None
            bits = level[word] >> (position & 63)
            if bits:
                found = position + ((bits & -bits).bit_length() - 1)
                for lower in reversed(self._levels[:depth]):
                    bits = lower[found]
                    found = (found << 6) + ((bits & -bits).bit_length() - 1)
                return found
            position = word + 1
        return None
