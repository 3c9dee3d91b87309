"""Which rows use which adapter."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from phi4train.batch import Batch
from phi4train.model.phi4 import Phi4Model
from phi4train.model.routing import (
    NO_ADAPTER,
    BatchRouting,
    adapter_of_mode,
    assign_adapters,
    build_routing,
)

Make = Callable[..., Batch]
MakeModel = Callable[..., Phi4Model]
FOUR_MODES = ("text", "vision", "speech", "vision_speech")


def route(batch: Batch) -> BatchRouting:
    adapters = ["vision", "speech"]
    return build_routing(assign_adapters(batch, adapters, "sample"), adapters, torch.device("cpu"))


def test_by_sample_all_tokens_of_a_sample_share_its_adapter(make_batch: Make) -> None:
    adapters_T = assign_adapters(make_batch((2, 1, 3, 1), FOUR_MODES), ["vision", "speech"], "sample")
    assert adapters_T.tolist() == [NO_ADAPTER] * 2 + [0] + [1] * 3 + [0]


def test_a_mode_whose_adapter_is_not_installed_uses_none(make_model: MakeModel, make_batch: Make) -> None:
    batch = make_batch((5, 4), ("speech", "text"))
    assert torch.equal(make_model("lora.vision")(batch), make_model()(batch))


def test_one_adapter_for_all_rows_needs_no_gather(make_batch: Make) -> None:
    (assignment,) = route(make_batch((5, 4), ("vision", "vision_speech"))).assignments
    assert (assignment.adapter, assignment.rows) == ("vision", None)
    assert route(make_batch((5, 4))) == BatchRouting()


def test_the_rows_of_adjacent_samples_are_a_slice_and_others_are_gathered(make_batch: Make) -> None:
    vision, speech = route(make_batch((2, 3, 4, 2, 1), (*FOUR_MODES, "vision"))).assignments
    assert isinstance(vision.rows, Tensor) and vision.rows.tolist() == [2, 3, 4, 9, 10, 11]
    assert (speech.adapter, speech.rows) == ("speech", slice(5, 9))


def test_every_row_is_assigned_as_its_index_says(make_batch: Make) -> None:
    adapters = ["vision", "speech"]
    adapter_of_T = torch.tensor([0, 1, -1, 0, 1, 1, -1])
    found = torch.full((7,), -1)
    for assignment in build_routing(adapter_of_T, adapters, torch.device("cpu")).assignments:
        assert assignment.rows is not None
        found[assignment.rows] = adapters.index(assignment.adapter)
    assert torch.equal(found, adapter_of_T)


def test_a_batch_without_rows_needs_no_adapter() -> None:
    assert build_routing(torch.empty(0, dtype=torch.int64), ["vision"], torch.device("cpu")) == BatchRouting()


def test_a_mode_that_nobody_registered_is_refused_with_the_nearest() -> None:
    assert [adapter_of_mode(mode) for mode in FOUR_MODES] == [None, "vision", "speech", "vision"]
    with pytest.raises(ValueError, match=r"found 'vison' \(did you mean 'vision'\?\)"):
        adapter_of_mode("vison")


def test_by_token_a_modality_without_an_adapter_uses_none(make_batch: Make) -> None:
    batch = make_batch((20, 6), ("vision", "text"), images=(0,))
    assert set(assign_adapters(batch, ["speech"], "token").tolist()) == {NO_ADAPTER}
    by_token_T = assign_adapters(batch, ["speech", "vision"], "token")
    assert (by_token_T == 1).nonzero().squeeze(1).tolist() == batch.media["image"].positions.tolist()
