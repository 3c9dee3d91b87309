"""AdamW owns what trains, decays matrices alone, and its state goes by the names of the tensors."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from phi4train.errors import CheckpointError
from phi4train.model.components import build_model
from phi4train.model.ownership import Ownership
from phi4train.training.freezing import freeze_all_but
from phi4train.training.optimizer import (
    STATE_KINDS,
    build_adamw,
    load_optimizer_tensors,
    optimizer_tensors,
)
from tests.unit.training.tiny_training import ADAMW, SHAPE

PARTS = ("vision_encoder", "vision_projector")


@pytest.fixture
def owned() -> Ownership:
    built = Ownership(build_model(SHAPE, ("language_model", *PARTS), seed=0))
    freeze_all_but(built, PARTS)
    return built


@pytest.fixture
def named(owned: Ownership) -> dict[str, nn.Parameter]:
    return owned.named_parameters(PARTS)


def step(optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], gradient: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, gradient)
    optimizer.step()


def test_each_tensor_is_in_one_group_and_only_matrices_decay(named: dict[str, nn.Parameter]) -> None:
    optimizer = build_adamw(named, replace(ADAMW, weight_decay=0.3))
    owned = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    assert len(owned) == len({id(p) for p in owned}) == len(named)
    for group in optimizer.param_groups:
        is_matrix = {parameter.squeeze().ndim >= 2 for parameter in group["params"]}
        assert is_matrix == {group["weight_decay"] == 0.3}


def test_without_a_gradient_weight_decay_shrinks_matrices_and_leaves_vectors(
    named: dict[str, nn.Parameter],
) -> None:
    optimizer = build_adamw(named, replace(ADAMW, weight_decay=0.3))
    before = {name: p.detach().clone() for name, p in named.items()}
    step(optimizer, list(named.values()), gradient=0.0)
    for name, parameter in named.items():
        factor = 1 - 0.1 * 0.3 if parameter.squeeze().ndim >= 2 else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * factor)


def test_a_components_factor_is_carried_by_its_groups_alone(named: dict[str, nn.Parameter]) -> None:
    optimizer = build_adamw(named, replace(ADAMW, lr_multipliers={"vision_encoder": 0.25}))
    encoder = {id(p) for name, p in named.items() if name.startswith("vision_encoder/")}
    for group in optimizer.param_groups:
        factors = {0.25 if id(parameter) in encoder else 1.0 for parameter in group["params"]}
        assert factors == {group["lr_multiplier"]}


def test_the_settings_reach_the_optimizer(named: dict[str, nn.Parameter]) -> None:
    optimizer = build_adamw(named, replace(ADAMW, beta1=0.5, beta2=0.6, eps=0.7))
    assert {(group["betas"], group["eps"]) for group in optimizer.param_groups} == {((0.5, 0.6), 0.7)}


def test_only_what_was_stepped_has_a_state_and_it_comes_back_by_name(named: dict[str, nn.Parameter]) -> None:
    first = build_adamw(named, ADAMW)
    assert optimizer_tensors(first, named) == {}
    projector = [p for name, p in named.items() if name.startswith("vision_projector/")]
    step(first, projector, gradient=1.0)
    saved = optimizer_tensors(first, named)
    assert {key.split("/")[0] for key in saved} == set(STATE_KINDS)
    assert {key.split("/")[1] for key in saved} == {"vision_projector"}
    second = build_adamw(dict(reversed(named.items())), ADAMW)
    load_optimizer_tensors(second, named, saved)
    again = optimizer_tensors(second, named)
    assert again.keys() == saved.keys()
    assert all(torch.equal(again[key], saved[key]) for key in saved)
    step(second, projector, gradient=1.0)
    key = next(key for key in saved if key.startswith("exp_avg/"))
    assert not torch.equal(optimizer_tensors(second, named)[key], saved[key]), "a copy: what was read stays"


def test_a_state_of_other_tensors_is_refused(named: dict[str, nn.Parameter]) -> None:
    optimizer = build_adamw(named, ADAMW)
    foreign = {"exp_avg/lora.vision/x": torch.zeros(1)}
    with pytest.raises(CheckpointError, match=r"found lora.vision/x, which do not · start anew with resume"):
        load_optimizer_tensors(optimizer, named, foreign)
