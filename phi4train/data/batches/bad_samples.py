"""How many samples of a run may be unusable: the rule of the run that stops and of the check before it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BadSampleLimits:
    """When too many samples are bad.

    Args:
        max_fraction: largest share of all samples so far that may be skipped.
        max_in_a_row: skipped samples that are too many, over steps without a good one.
    """

    max_fraction: float
    max_in_a_row: int

    def broken_by(self, bad: int, used: int, in_a_row: int) -> tuple[str, str] | None:
        """The limit that is broken, and how many samples break it; None: none is.

        The share counts once one bad sample may be within it.

        Args:
            bad: samples so far that were skipped.
            used: samples so far that were not.
            in_a_row: skipped samples since the last step with a good one.
        """
        allowed = self.max_fraction * (bad + used)
        if bad > allowed and (allowed >= 1 or self.max_fraction == 0):
            return (
                f"at most data.max_bad_fraction={self.max_fraction:g} of the samples may be unusable",
                f"{bad} of {bad + used}",
            )
        if in_a_row >= self.max_in_a_row:
            return (
                f"fewer than data.max_bad_in_a_row={self.max_in_a_row} samples may be unusable without "
                "a step that has a good one",
                f"{in_a_row}",
            )
        return None
