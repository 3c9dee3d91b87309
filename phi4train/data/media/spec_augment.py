"""SpecAugment: stretches of time and of mel bands masked in log-mel features (Park et al., arXiv 1904.08779).

Shape suffixes: F feature frames, M mel bands.
"""

from dataclasses import dataclass

import numpy as np
from torch import Tensor


@dataclass(frozen=True)
class SpecAugment:
    """How much of a clip is masked; nothing by default.

    Args:
        time_masks: stretches of time, each of 0 to `time_width` frames (10 ms), evenly drawn, at most half of
            the clip.
        frequency_masks: stretches of mel bands, each of 0 to `frequency_width` bands, evenly drawn.
    """

    time_masks: int = 0
    time_width: int = 0
    frequency_masks: int = 0
    frequency_width: int = 0

    @property
    def is_on(self) -> bool:
        """Whether it masks anything."""
        return self.time_masks * self.time_width + self.frequency_masks * self.frequency_width > 0

    def masked(self, features_FM: Tensor, random: np.random.Generator) -> Tensor:
        """A copy with the masks filled with the clip's mean; they depend on the shape and `random` alone."""
        masked_FM, mean = features_FM.clone(), features_FM.mean()
        F, M = features_FM.shape
        for _ in range(self.time_masks):
            start, stop = _drawn_span(F, min(self.time_width, F // 2), random)
            masked_FM[start:stop] = mean
        for _ in range(self.frequency_masks):
            start, stop = _drawn_span(M, min(self.frequency_width, M), random)
            masked_FM[:, start:stop] = mean
        return masked_FM


NO_SPEC_AUGMENT = SpecAugment()


def _drawn_span(length: int, widest: int, random: np.random.Generator) -> tuple[int, int]:
    """(start, stop) of a stretch of 0 to `widest` places, anywhere in `length`."""
    width = int(random.integers(widest + 1))
    start = int(random.integers(length - width + 1))
    return start, start + width
