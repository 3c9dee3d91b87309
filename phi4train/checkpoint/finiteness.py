"""Finds numbers that are NaN or infinite before tensors are published or trusted."""

from collections.abc import Mapping

import torch
from torch import Tensor


def find_non_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Tells of the first tensor, in order of name, that holds NaN or infinity; None: all numbers are finite.

    One pass on the tensors' own device, and one transfer for each device.
    """
    names = sorted(name for name, tensor in tensors.items() if tensor.is_floating_point())
    by_device: dict[torch.device, list[str]] = {}
    for name in names:
        by_device.setdefault(tensors[name].device, []).append(name)
    bad: set[str] = set()
    for members in by_device.values():
        finite = torch.stack([torch.isfinite(tensors[name].detach()).all() for name in members]).tolist()
        bad |= {name for name, is_finite in zip(members, finite, strict=True) if not is_finite}
    if not bad:
        return None
    name = min(bad)
    count = tensors[name].numel() - int(torch.isfinite(tensors[name].detach()).sum())
    others = f", and {len(bad) - 1} more tensors with such numbers" if len(bad) > 1 else ""
    return f"{count} of {tensors[name].numel()} numbers of {name} NaN or infinite{others}"
