"""A batch counts its targets and moves as a whole, and the one it was made from stays."""

from dataclasses import FrozenInstanceError, dataclass, fields, replace

import pytest
import torch
from torch import Tensor

from phi4train.batch import IGNORE_INDEX, AudioInputs, Batch, ImageInputs, move_tensors

META = torch.device("meta")
IMAGES = ImageInputs(
    torch.zeros(2, 3, 4, 4), torch.ones(2, 2, 2, dtype=torch.bool), ((1, 1),), torch.arange(2)
)
CLIPS = AudioInputs(torch.zeros(9, 4), (4, 5), ("speech", "vision_speech"), torch.tensor([2, 3]))


def batch() -> Batch:
    labels_T = torch.tensor([1, IGNORE_INDEX, 3, IGNORE_INDEX, 0])
    return Batch(
        torch.arange(5), torch.tensor([0, 1, 2, 0, 1]), labels_T, (3, 2), ("text", "vision"), ("t", "v"),
        ("a", "b"),
        {"image": IMAGES, "audio": CLIPS}, readings_T=torch.full((5,), IGNORE_INDEX),
    )  # fmt: skip


def tensors_of(value: object) -> dict[str, Tensor]:
    found = {f.name: getattr(value, f.name) for f in fields(value)}  # type: ignore[arg-type]
    return {name: item for name, item in found.items() if isinstance(item, Tensor)}


def test_targets_are_the_positions_with_a_label_be_it_zero() -> None:
    assert batch().num_targets == 3
    assert replace(batch(), labels_T=torch.full((5,), IGNORE_INDEX)).num_targets == 0


def test_all_tensors_of_a_batch_and_its_media_move_and_nothing_else_changes() -> None:
    here = batch()
    there = here.to(META)
    for before, after in ((here, there), *((here.media[name], there.media[name]) for name in here.media)):
        moved = tensors_of(after)
        assert moved.keys() == tensors_of(before).keys() and len(moved) >= 2
        assert {tensor.device for tensor in moved.values()} == {META}
        assert {tensor.device.type for tensor in tensors_of(before).values()} == {"cpu"}
    assert (there.sample_lengths, there.modes, there.tasks, there.keys) == (
        (here.sample_lengths, here.modes, here.tasks, here.keys)
    )
    sounds = there.media["audio"]
    assert isinstance(sounds, AudioInputs) and sounds.projectors == CLIPS.projectors


def test_a_batch_without_readings_stays_without() -> None:
    assert replace(batch(), readings_T=None).to(META).readings_T is None


def test_values_that_travel_cannot_be_written_to() -> None:
    with pytest.raises(FrozenInstanceError):
        batch().modes = ()  # type: ignore[misc]


def test_a_kind_from_outside_moves_by_the_same_function() -> None:
    @dataclass(frozen=True)
    class Series:
        values_N: Tensor
        name: str

    moved = move_tensors(Series(torch.ones(3), "x"), META)
    assert moved.values_N.device == META and moved.name == "x"
