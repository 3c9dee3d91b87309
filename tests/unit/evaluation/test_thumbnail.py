"""Thumbnails draw dark pixels and keep their shape."""

import io

import torch
from rich.console import Console

from phi4train.evaluation.thumbnail import thumbnail


def test_dark_pixels_are_filled_where_they_are() -> None:
    view = torch.ones(3, 16, 16)
    view[:, 4:8, :8] = -1.0
    lines = thumbnail(view, in_colour=False, width=8).plain.split("\n")
    assert lines == ["        ", "████    ", "        ", "        "]


def test_a_single_dark_row_fills_half_a_character() -> None:
    view = torch.ones(3, 4, 4)
    view[:, 1] = -1.0
    assert thumbnail(view, in_colour=False, width=4).plain.split("\n")[0] == "▄▄▄▄"


def test_a_coloured_image_keeps_its_colours() -> None:
    view = torch.full((3, 4, 4), -1.0)
    view[0, :2] = 1.0  # red above
    view[2, 2:, 2:] = 0.0  # dark blue below, at the right
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system="truecolor", width=20).print(
        thumbnail(view, True, width=2)
    )
    assert "\x1b[38;2;255;0;0;48;2;0;0;0m▀" in out.getvalue()
    assert "\x1b[38;2;255;0;0;48;2;0;0;128m▀" in out.getvalue()
    assert thumbnail(view, in_colour=True, width=4).plain == "▀▀▀▀\n▀▀▀▀"


def test_pixels_beyond_their_range_are_cut() -> None:
    thumbnail(torch.full((3, 4, 4), 1.5), in_colour=True, width=4)
    thumbnail(torch.full((3, 4, 4), -1.5), in_colour=True, width=4)
