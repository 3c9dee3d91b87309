"""Keyed permutations: any position of a shuffled range in O(1), without holding the range.

A balanced Feistel network is a bijection on 2^(2h) for whatever round function; cycle walking restricts
it to 0 .. n-1. Source: Black & Rogaway, "Ciphers with Arbitrary Finite Domains", CT-RSA 2002. These are
shuffles, not ciphers: the mixing function is splitmix64's.
"""

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 5
_MASK = 2**64 - 1


def derive_key(*parts: int) -> int:
    """A 64-bit key that depends on every part and on their order."""
    key = 0x9E3779B97F4A7C15
    for part in parts:
        key = _mix_int((key ^ _mix_int(part & _MASK)) + 0x9E3779B97F4A7C15)
    return key


def permute(positions: NDArray[np.int64], size: int, key: int) -> NDArray[np.int64]:
    """Where a keyed permutation of 0 .. size-1 sends each position; a bijection for every key.

    Args:
        positions: values in 0 .. size-1.
    """
    assert size >= 1, "a permutation has at least one element"
    half_bits = max(1, ((size - 1).bit_length() + 1) // 2)
    keys = [np.uint64(derive_key(key, number)) for number in range(_ROUNDS)]
    values = positions.astype(np.uint64)
    outside = np.arange(len(values))
    while len(outside):
        values[outside] = _feistel(values[outside], half_bits, keys)
        outside = outside[values[outside] >= np.uint64(size)]
    return values.astype(np.int64)


def shuffled(size: int, key: int) -> NDArray[np.int64]:
    """All of 0 .. size-1 in a keyed order; the same on every platform and numpy version."""
    scores = _mix(np.arange(size, dtype=np.uint64) + np.uint64(key & (_MASK >> 1)))
    return np.argsort(scores, kind="stable").astype(np.int64)


def _feistel(values: NDArray[np.uint64], half_bits: int, keys: list[np.uint64]) -> NDArray[np.uint64]:
    shift, mask = np.uint64(half_bits), np.uint64(2**half_bits - 1)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << shift) | right


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """splitmix64's finaliser, wrapping around."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _mix_int(value: int) -> int:
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)
