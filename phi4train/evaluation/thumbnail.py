"""A small picture of an image in text, two pixels a character."""

import torch.nn.functional as F
from torch import Tensor

_BLOCKS = {(False, False): " ", (True, False): "▀", (False, True): "▄", (True, True): "█"}


def thumbnail(view_3SS: Tensor, width: int = 24) -> str:
    """Lines of half blocks: filled where the image is darker than the middle of its range.

    Args:
        view_3SS: normalised pixels, square.
        width: characters a line; there are half as many lines.
    """
    grey = view_3SS.float().mean(dim=0)[None, None]
    small = F.interpolate(grey, size=(width, width), mode="area")[0, 0]
    is_ink = (small < (small.min() + small.max()) / 2).tolist()
    return "\n".join(
        "".join(_BLOCKS[pair] for pair in zip(upper, lower, strict=True))
        for upper, lower in zip(is_ink[::2], is_ink[1::2], strict=True)
    )
