"""One process keeps the promises of Gradients: norms by component, scaled steps, skips, and its state."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from phi4train.errors import CheckpointError
from phi4train.training.gradients.gradients import Gradients
from phi4train.training.gradients.one_process import OneProcessGradients
from tests.unit.training.tiny_training import ADAMW

LR = 0.1


def tensors() -> dict[str, nn.Parameter]:
    return {
        "lm/w": nn.Parameter(torch.ones(2, 3)),
        "lm/b": nn.Parameter(torch.ones(3)),
        "lora.vision/w": nn.Parameter(torch.full((2,), 2.0)),
        "rest/w": nn.Parameter(torch.zeros(4)),
    }


def loss_of(named: dict[str, nn.Parameter]) -> torch.Tensor:
    """One whose gradients are 2 w, 3 and 4 w; `rest/w` has none."""
    return named["lm/w"].square().sum() + 3 * named["lm/b"].sum() + 2 * named["lora.vision/w"].square().sum()


def values(named: dict[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in named.items()}


def one_step(named: dict[str, nn.Parameter], gradients: Gradients, scale: float = 1.0) -> None:
    gradients.zero()
    gradients.backward(loss_of(named))
    gradients.finish()
    gradients.step(LR, scale)


def test_norms_are_of_all_tensors_of_a_component_and_absent_without_a_gradient() -> None:
    named = tensors()
    gradients = OneProcessGradients(named, ADAMW)
    gradients.zero()
    assert gradients.finish() == {}
    gradients.backward(loss_of(named))
    assert gradients.finish() == {
        "lm": pytest.approx((6 * 2**2 + 3 * 3**2) ** 0.5),
        "lora.vision": pytest.approx((2 * 8**2) ** 0.5),
    }


def test_shares_of_a_loss_add_up_until_the_next_step() -> None:
    named = tensors()
    gradients = OneProcessGradients(named, ADAMW)
    gradients.zero()
    gradients.backward(0.25 * loss_of(named))
    gradients.backward(0.75 * loss_of(named))
    parts = gradients.finish()
    gradients.zero()
    gradients.backward(loss_of(named))
    assert parts == pytest.approx(gradients.finish())


def test_a_step_scales_the_gradients_and_moves_only_what_has_one() -> None:
    named = tensors()
    gradients, before = OneProcessGradients(named, replace(ADAMW, weight_decay=0.5)), values(named)
    one_step(named, gradients, scale=0.5)
    assert torch.equal(named["lm/b"].grad, torch.full((3,), 1.5))  # type: ignore[arg-type]
    moved = {name for name, parameter in named.items() if not torch.equal(parameter, before[name])}
    assert moved == {"lm/w", "lm/b", "lora.vision/w"}
    # Adam's first step is the learning rate in every direction, whatever the size of the gradient.
    torch.testing.assert_close(named["lm/b"].detach(), before["lm/b"] - LR)


def test_the_learning_rate_goes_to_each_group_with_its_own_factor() -> None:
    named = tensors()
    gradients = OneProcessGradients(named, replace(ADAMW, lr_multipliers={"lm": 0.5}))
    before = values(named)
    one_step(named, gradients)
    torch.testing.assert_close(named["lm/b"].detach(), before["lm/b"] - 0.5 * LR)
    torch.testing.assert_close(named["lora.vision/w"].detach(), before["lora.vision/w"] - LR)


def test_a_skipped_step_leaves_tensors_and_state_and_drops_its_gradients() -> None:
    named = tensors()
    gradients, before = OneProcessGradients(named, ADAMW), values(named)
    gradients.backward(loss_of(named))
    gradients.finish()
    gradients.skip()
    assert all(parameter.grad is None for parameter in named.values())
    assert all(torch.equal(parameter, before[name]) for name, parameter in named.items())
    assert gradients.state() == {} and gradients.finish() == {}


def test_a_state_goes_on_to_the_last_bit() -> None:
    straight, first = tensors(), tensors()
    gradients, half = OneProcessGradients(straight, ADAMW), OneProcessGradients(first, ADAMW)
    one_step(straight, gradients)
    one_step(first, half)
    saved = {name: tensor.clone() for name, tensor in half.state().items()}
    assert {name.split("/", 1)[1] for name in saved} == {"lm/w", "lm/b", "lora.vision/w"}
    second = {name: nn.Parameter(value) for name, value in values(first).items()}
    restored = OneProcessGradients(second, ADAMW)
    restored.load_state(saved)
    one_step(straight, gradients)
    one_step(second, restored)
    assert all(torch.equal(straight[name], second[name]) for name in straight)
    with pytest.raises(CheckpointError, match="do not"):
        restored.load_state({"exp_avg/other/w": torch.zeros(1)})
