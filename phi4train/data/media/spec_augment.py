"""SpecAugment: stretches of time and of mel bands masked in log-mel features (Park et al., arXiv 1904.08779).

No import of torch or NumPy here: the configuration schema nests the settings.

Shape suffixes: F feature frames, M mel bands.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from phi4train.ranges import AtLeast

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


@dataclass(frozen=True)
class SpecAugment:
    """Masks in the log-mel features of audio, in training only; none by default."""

    time_masks: Annotated[int, AtLeast(0)] = 0
    """Stretches of time masked in each clip, each of 0 to `time_width` frames, evenly drawn."""
    time_width: Annotated[int, AtLeast(0)] = 0
    """Widest of them, in frames of 10 ms; never more than half of the clip."""
    frequency_masks: Annotated[int, AtLeast(0)] = 0
    """Stretches of mel bands masked in each clip, each of 0 to `frequency_width` bands, evenly drawn."""
    frequency_width: Annotated[int, AtLeast(0)] = 0
    """Widest of them, in mel bands."""

    @property
    def is_on(self) -> bool:
        """Whether it masks anything."""
        return self.time_masks * self.time_width + self.frequency_masks * self.frequency_width > 0

    def masked(self, features_FM: "Tensor", random: "np.random.Generator") -> "Tensor":
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


def _drawn_span(length: int, widest: int, random: "np.random.Generator") -> tuple[int, int]:
    """(start, stop) of a stretch of 0 to `widest` places, anywhere in `length`."""
    width = int(random.integers(widest + 1))
    start = int(random.integers(length - width + 1))
    return start, start + width
