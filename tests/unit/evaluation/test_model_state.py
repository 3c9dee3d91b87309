"""Evaluation leaves a model as it was, also when it fails."""

import pytest
import torch
from torch import nn

from phi4train.evaluation.model_state import evaluation_mode


@pytest.fixture
def model() -> nn.Module:
    """Its first part trains, its last one is frozen and in eval mode."""
    made = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5), nn.Linear(3, 3))
    made.train()
    made[2].eval()
    return made


def modes(model: nn.Module) -> list[bool]:
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("fails", [False, True])
def test_modes_gradients_and_random_numbers_are_put_back(model: nn.Module, fails: bool) -> None:
    before, state = modes(model), torch.get_rng_state()
    try:
        with evaluation_mode(model):
            assert not any(modes(model)) and not torch.is_grad_enabled()
            assert torch.equal(model(torch.ones(1, 3)), model(torch.ones(1, 3))), "no dropout"
            torch.rand(9)
            if fails:
                raise RuntimeError
    except RuntimeError:
        assert fails
    assert modes(model) == before and torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)


def test_it_may_be_entered_inside_itself(model: nn.Module) -> None:
    before = modes(model)
    with evaluation_mode(model):
        with evaluation_mode(model):
            pass
        assert not any(modes(model)) and not torch.is_grad_enabled()
    assert modes(model) == before
