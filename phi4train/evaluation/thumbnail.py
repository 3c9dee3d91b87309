"""A small picture of an image in text, two pixels a character."""

import torch.nn.functional as F
from rich.color import Color
from rich.style import Style
from rich.text import Text
from torch import Tensor

_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def thumbnail(view_3SS: Tensor, in_colour: bool, width: int = 24) -> Text:
    """Lines of half blocks.

    Args:
        view_3SS: normalised pixels, square.
        in_colour: each half has the colour of its pixel; else it is filled where the image is darker than the
            middle of its range.
        width: characters a line; there are half as many lines.
    """
    small_3SS = F.interpolate(view_3SS.float()[None], size=(width, width), mode="area")[0]
    return _coloured(small_3SS) if in_colour else Text(_filled(small_3SS))


def _filled(small_3SS: Tensor) -> str:
    grey_SS = small_3SS.mean(dim=0)
    is_ink = (grey_SS < (grey_SS.min() + grey_SS.max()) / 2).tolist()
    return "\n".join(
        "".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(is_ink[::2], is_ink[1::2], strict=True)
    )


def _coloured(small_3SS: Tensor) -> Text:
    """An upper half block a pair of pixels: the upper one is its ink, the lower one its paper."""
    pixels_SS3 = ((small_3SS + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 0).int().tolist()
    text = Text()
    for row, (upper, lower) in enumerate(zip(pixels_SS3[::2], pixels_SS3[1::2], strict=True)):
        text.append("\n" if row else "")
        for ink, paper in zip(upper, lower, strict=True):
            text.append("▀", Style(color=Color.from_rgb(*ink), bgcolor=Color.from_rgb(*paper)))
    return text
