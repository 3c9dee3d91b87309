"""Thumbnails draw dark pixels and keep their shape."""

import torch

from phi4train.evaluation.thumbnail import thumbnail


def test_dark_pixels_are_filled_where_they_are() -> None:
    view = torch.ones(3, 16, 16)
    view[:, 4:8, :8] = -1.0
    lines = thumbnail(view, width=8).split("\n")
    assert lines == ["        ", "████    ", "        ", "        "]


def test_a_single_dark_row_fills_half_a_character() -> None:
    view = torch.ones(3, 4, 4)
    view[:, 1] = -1.0
    assert thumbnail(view, width=4).split("\n")[0] == "▄▄▄▄"
