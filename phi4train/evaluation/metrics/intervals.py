"""How far a measured share or rate may be from the true one."""

import math
from collections.abc import Sequence

import numpy as np

_Z_95 = 1.959963984540054


def wilson_interval(num_hits: int, num_samples: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share. Source: E. B. Wilson, JASA 22 (1927)."""
    n, p, z = num_samples, num_hits / num_samples, _Z_95
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)


_RESAMPLES = 1000


def bootstrap_interval(counts: Sequence[tuple[int, int]]) -> tuple[float, float] | None:
    """The 95 % interval of a rate over a corpus, from 1,000 resamples of its samples; the same every time.

    Samples are drawn whole, since the errors inside of one depend on each other. None where resampling tells
    nothing: of fewer than two samples, or of none with an error.
    Source: Bisani & Ney, Bootstrap estimates for confidence intervals in ASR performance evaluation, ICASSP
    2004.

    Args:
        counts: errors and units of each sample.
    """
    if len(counts) < 2 or not any(errors for errors, _ in counts):
        return None
    counts_N2 = np.array(counts, dtype=np.int64)
    generator = np.random.default_rng(0)
    rates = []
    for _ in range(_RESAMPLES):
        drawn = generator.integers(len(counts), size=len(counts))
        errors, units = counts_N2[drawn].sum(axis=0)
        rates.append(errors / max(1, units))
    low, high = np.percentile(rates, (2.5, 97.5))
    return float(low), float(high)
