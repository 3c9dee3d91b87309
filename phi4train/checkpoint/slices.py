"""Tensors of a state in slices: each rank writes the part that it owns, and any number of ranks reads them.

A slice `exp_avg/language_model/norm.weight@4096` holds the elements of the flattened tensor from 4096 on.
"""

from collections.abc import Iterable, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from phi4train.checkpoint.finiteness import find_non_finite
from phi4train.errors import CheckpointError

Slices = Mapping[str, Tensor]
"""Flat tensors by `<name>@<start>`."""

_FILES = "rank*.safetensors"


def slice_file(rank: int) -> str:
    """Name of a rank's file, without its ending."""
    return f"rank{rank:05d}"


def slices_of(tensors: Mapping[str, Tensor], rank: int, size: int) -> dict[str, Tensor]:
    """This rank's part of tensors that every rank has whole; views, detached."""
    slices = {}
    for name, tensor in tensors.items():
        flat = tensor.detach().reshape(-1)
        start, end = (flat.numel() * place // size for place in (rank, rank + 1))
        if end > start or (rank == 0 and flat.numel() == 0):
            slices[f"{name}@{start}"] = flat[start:end]
    return slices


class SliceReader:
    """Puts tensors together from the slices of a verified checkpoint folder, one at a time.

    Args:
        folder: of the checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._places: dict[str, list[tuple[int, Any]]] = {}
        """Start and opened file of each slice, by name of its tensor."""
        for path in sorted(folder.glob(_FILES)):
            opened = _open(path)
            for key in opened.keys():  # noqa: SIM118
                name, _, start = key.rpartition("@")
                self._places.setdefault(name, []).append((int(start), opened))

    def names(self, kind: str) -> set[str]:
        """`<component>/<key>` of the tensors of a kind."""
        prefix = f"{kind}/"
        return {name.removeprefix(prefix) for name in self._places if name.startswith(prefix)}

    def read(self, name: str, shape: Iterable[int]) -> Tensor:
        """The tensor `<kind>/<component>/<key>` on the CPU.

        Raises:
            CheckpointError: the slices do not make a tensor of this shape, or hold NaN or infinity.
        """
        size = torch.Size(shape)
        parts = sorted(self._places.get(name, ()), key=itemgetter(0))
        flat = [opened.get_tensor(f"{name}@{start}") for start, opened in parts]
        ends = [start + part.numel() for (start, _), part in zip(parts, flat, strict=True)]
        if [start for start, _ in parts] != [0, *ends[:-1]] or not ends or ends[-1] != size.numel():
            raise CheckpointError(
                f"{self._folder} must hold {name} of {size.numel()} elements without a gap · found "
                f"slices {[(start, end) for (start, _), end in zip(parts, ends, strict=True)]} · use the "
                "model sizes that wrote it, or start anew with resume=overwrite (the old run is set aside, "
                "not deleted)"
            )
        tensor = flat[0] if len(flat) == 1 else torch.cat(flat)
        found = find_non_finite({name: tensor})
        if found is not None:
            raise CheckpointError(
                f"the checkpoint {self._folder} must hold finite numbers only · found {found} · move it out "
                f"of {self._folder.parent} to go on from an earlier one, or start anew with resume=overwrite "
                "(the old run is set aside, not deleted)"
            )
        return tensor.view(size)


def _open(path: Path) -> Any:
    try:
        return safe_open(str(path), "pt")
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path} must be readable · found {error} · check the disk and the file's permissions, or "
            "restore it from a copy"
        ) from error
