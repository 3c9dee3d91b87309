"""Norms by component, scaled steps, skips, state, and sums whose bits do not depend on who made them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from phi4train.checkpoint.slices import SliceReader, slice_file
from phi4train.checkpoint.store import write_folder
from phi4train.data.order.dealing import VirtualRanks
from phi4train.ranks import OneRank
from phi4train.training.gradients.exact import ExactGradients
from phi4train.training.gradients.gradients import Gradients
from phi4train.training.micro_batch import MicroBatchShare
from phi4train.training.optimizer import AdamWSettings
from tests.unit.training.tiny_training import ADAMW

LR = 0.1


def tensors() -> dict[str, nn.Parameter]:
    return {
        "lm/w": nn.Parameter(torch.ones(2, 3)),
        "lm/b": nn.Parameter(torch.ones(3)),
        "lora.vision/w": nn.Parameter(torch.full((2,), 2.0)),
        "rest/w": nn.Parameter(torch.zeros(4)),
    }


def exact(
    named: dict[str, nn.Parameter], settings: AdamWSettings, virtual: VirtualRanks | None = None
) -> ExactGradients:
    def no_model(*_: object) -> MicroBatchShare:
        raise AssertionError("these tests make their own losses")

    return ExactGradients(no_model, named, settings, OneRank(), virtual)


def loss_of(named: dict[str, nn.Parameter]) -> torch.Tensor:
    """One whose gradients are 2 w, 3 and 4 w; `rest/w` has none."""
    return named["lm/w"].square().sum() + 3 * named["lm/b"].sum() + 2 * named["lora.vision/w"].square().sum()


def values(named: dict[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in named.items()}


def one_step(named: dict[str, nn.Parameter], gradients: Gradients, scale: float = 1.0) -> None:
    gradients.zero()
    gradients.backward(loss_of(named), 0)
    gradients.finish()
    gradients.step(LR, scale)


def test_norms_are_of_all_tensors_of_a_component_and_zero_without_a_gradient() -> None:
    named = tensors()
    gradients = exact(named, ADAMW)
    gradients.zero()
    assert gradients.finish() == {"lm": 0, "lora.vision": 0, "rest": 0}
    gradients.zero()
    gradients.backward(loss_of(named), 0)
    assert gradients.finish() == {
        "lm": pytest.approx((6 * 2**2 + 3 * 3**2) ** 0.5),
        "lora.vision": pytest.approx((2 * 8**2) ** 0.5),
        "rest": 0,
    }


def test_shares_of_a_loss_add_up_until_the_next_step() -> None:
    named = tensors()
    gradients = exact(named, ADAMW)
    gradients.zero()
    gradients.backward(0.25 * loss_of(named), 0)
    gradients.backward(0.75 * loss_of(named), 0)
    parts = gradients.finish()
    gradients.zero()
    gradients.backward(loss_of(named), 0)
    assert parts == pytest.approx(gradients.finish())


def test_a_step_scales_the_gradients_and_one_of_zeros_moves_nothing() -> None:
    named = tensors()
    gradients, before = exact(named, replace(ADAMW, weight_decay=0.5)), values(named)
    one_step(named, gradients, scale=0.5)
    assert torch.equal(named["lm/b"].grad, torch.full((3,), 1.5))  # type: ignore[arg-type]
    moved = {name for name, parameter in named.items() if not torch.equal(parameter, before[name])}
    assert moved == {"lm/w", "lm/b", "lora.vision/w"}
    # Adam's first step is the learning rate in every direction, whatever the size of the gradient.
    torch.testing.assert_close(named["lm/b"].detach(), before["lm/b"] - LR)


def test_the_learning_rate_goes_to_each_group_with_its_own_factor() -> None:
    named = tensors()
    gradients = exact(named, replace(ADAMW, lr_multipliers={"lm": 0.5}))
    before = values(named)
    one_step(named, gradients)
    torch.testing.assert_close(named["lm/b"].detach(), before["lm/b"] - 0.5 * LR)
    torch.testing.assert_close(named["lora.vision/w"].detach(), before["lora.vision/w"] - LR)


def test_a_skipped_step_leaves_tensors_and_state_and_drops_its_gradients() -> None:
    named = tensors()
    gradients, before = exact(named, ADAMW), values(named)
    gradients.backward(loss_of(named), 0)
    gradients.finish()
    gradients.skip()
    assert all(parameter.grad is None for parameter in named.values())
    assert all(torch.equal(parameter, before[name]) for name, parameter in named.items())
    assert gradients.num_updates == 0 and not any("exp_avg" in name for name in gradients.slices())


def test_a_state_goes_on_to_the_last_bit(tmp_path: Path) -> None:
    straight, first = tensors(), tensors()
    gradients, half = exact(straight, ADAMW), exact(first, ADAMW)
    one_step(straight, gradients)
    one_step(first, half)
    write_folder(tmp_path / "saved", {slice_file(0): half.slices()}, {})
    second = tensors()
    restored = exact(second, ADAMW)
    restored.load(SliceReader(tmp_path / "saved"), half.num_updates)
    assert restored.num_updates == 1 and all(torch.equal(first[name], second[name]) for name in first)
    one_step(straight, gradients)
    one_step(second, restored)
    assert all(torch.equal(straight[name], second[name]) for name in straight)


def random_losses(named: dict[str, nn.Parameter], number: int) -> list[torch.Tensor]:
    """Losses whose gradients differ by orders of magnitude, so that each order of sums has other bits."""
    random = torch.Generator().manual_seed(number)
    scales = [10.0 ** (i % 5) for i in range(number)]
    return [
        sum((torch.randn(p.shape, generator=random) * scale * p).sum() for p in named.values())
        for scale in scales
    ]


@pytest.mark.parametrize("number", [1, 2, 8])
def test_virtual_ranks_are_summed_in_one_tree_and_a_missing_one_is_zero(number: int) -> None:
    named = tensors()
    leaves = []
    for loss in random_losses(named, number):
        loss.backward()
        leaves.append([p.grad for p in named.values()])
        for parameter in named.values():
            parameter.grad = None
    if number > 1:
        leaves[1] = [torch.zeros_like(grad) for grad in leaves[1]]  # type: ignore[arg-type]
    while len(leaves) > 1:
        leaves = [[a + b for a, b in zip(*leaves[i : i + 2], strict=True)] for i in range(0, len(leaves), 2)]  # type: ignore[operator]
    gradients = exact(named, ADAMW, VirtualRanks(number, range(number)))
    gradients.zero()
    for virtual_rank, loss in enumerate(random_losses(named, number)):
        if virtual_rank != 1:
            gradients.backward(loss, virtual_rank)
    gradients.finish()
    for parameter, expected in zip(named.values(), leaves[0], strict=True):
        assert torch.equal(parameter.grad, expected)  # type: ignore[arg-type]
