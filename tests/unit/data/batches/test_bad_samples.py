"""When the bad samples of a run are too many."""

import pytest

from phi4train.data.batches.bad_samples import BadSampleLimits

FRACTION, ROW = "data.max_bad_fraction", "data.max_bad_in_a_row"


@pytest.mark.parametrize(
    ("max_fraction", "bad", "used", "in_a_row", "broken"),
    [
        (0.1, 1, 3, 0, None),
        (0.1, 2, 7, 0, None),
        (0.1, 2, 8, 0, (FRACTION, "2 of 10")),
        (0.1, 2, 18, 0, None),
        (0.0, 1, 0, 0, (FRACTION, "1 of 1")),
        (0.0, 0, 9, 0, None),
        (1.0, 4, 0, 4, None),
        (1.0, 5, 0, 5, (ROW, "5")),
    ],
)
def test_a_limit_is_broken_by_a_share_or_by_a_row(
    max_fraction: float, bad: int, used: int, in_a_row: int, broken: tuple[str, str] | None
) -> None:
    found = BadSampleLimits(max_fraction, max_in_a_row=5).broken_by(bad, used, in_a_row)
    if broken is None:
        assert found is None
    else:
        assert found is not None and broken[0] in found[0] and found[1] == broken[1]
