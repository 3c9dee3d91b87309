"""How far a measured share may be from the true one."""

import math

_Z_95 = 1.959963984540054


def wilson_interval(num_hits: int, num_samples: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share. Source: E. B. Wilson, JASA 22 (1927)."""
    n, p, z = num_samples, num_hits / num_samples, _Z_95
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, middle - half), min(1.0, middle + half)
