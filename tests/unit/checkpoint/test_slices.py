"""Slices: any number of ranks writes them, any number reads them, and a gap is found."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from phi4train.checkpoint.slices import SliceReader, slice_file, slices_of
from phi4train.checkpoint.store import write_folder
from phi4train.errors import CheckpointError

TENSORS = {
    "model/a/w": torch.arange(30.0).view(5, 6),
    "model/a/b": torch.tensor([7.0]),
    "exp_avg/a/w": -torch.arange(30.0).view(5, 6),
    "buffer/a/none": torch.zeros(0, 3),
}


def written(folder: Path, parts: dict[str, dict[str, Tensor]]) -> SliceReader:
    write_folder(folder / "saved", parts, {})
    return SliceReader(folder / "saved")


@pytest.mark.parametrize("size", [1, 2, 4, 32])
def test_what_ranks_wrote_in_parts_is_read_whole(tmp_path: Path, size: int) -> None:
    parts = {slice_file(rank): slices_of(TENSORS, rank, size) for rank in range(size)}
    assert sum(part.numel() for own in parts.values() for part in own.values()) == 61, "nothing twice"
    reader = written(tmp_path, parts)
    assert reader.names("model") == {"a/w", "a/b"} and reader.names("exp_avg_sq") == set()
    for name, tensor in TENSORS.items():
        assert torch.equal(reader.read(name, tensor.shape), tensor)


def test_a_missing_slice_another_shape_and_a_name_that_is_not_there_are_refused(tmp_path: Path) -> None:
    parts = {slice_file(rank): slices_of(TENSORS, rank, 4) for rank in (0, 1, 3)}
    reader = written(tmp_path, parts)
    with pytest.raises(CheckpointError, match=r"model/a/w of 30 elements .*slices \[\(0, 7\)"):
        reader.read("model/a/w", (5, 6))
    whole = written(tmp_path / "whole", {slice_file(0): slices_of(TENSORS, 0, 1)})
    with pytest.raises(CheckpointError, match=r"36 elements .* found slices \[\(0, 30\)\]"):
        whole.read("model/a/w", (6, 6))
    with pytest.raises(CheckpointError, match=r"found slices \[\]"):
        whole.read("model/a/x", (1,))


def test_numbers_that_are_not_finite_are_refused_when_they_are_read(tmp_path: Path) -> None:
    bad = {"model/a/w": torch.tensor([1.0, float("nan")]), "model/a/b": torch.ones(1)}
    reader = written(tmp_path, {slice_file(0): slices_of(bad, 0, 1)})
    assert reader.read("model/a/b", (1,)).item() == 1
    with pytest.raises(CheckpointError, match="finite numbers only · found 1 of 2 numbers of model/a/w"):
        reader.read("model/a/w", (2,))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "rank00000.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"rank00000.safetensors must be readable"):
        SliceReader(tmp_path)
