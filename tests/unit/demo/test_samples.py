"""Records of demo samples, and the hash that holds content out."""

import pytest

from phi4train.demo.samples import is_held_out


def test_the_held_out_share_of_a_split_is_what_it_says() -> None:
    share = sum(is_held_out(f"document {n}", 0.1) for n in range(5000)) / 5000
    assert share == pytest.approx(0.1, abs=0.02)
