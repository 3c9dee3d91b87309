"""AdamW owns what trains, decays matrices alone, and its state goes by the names of the tensors."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from phi4train.checkpoint.slices import SliceReader, slice_file, slices_of
from phi4train.checkpoint.store import write_folder
from phi4train.errors import CheckpointError
from phi4train.model.components import build_model
from phi4train.model.ownership import Ownership
from phi4train.training.freezing import freeze_all_but
from phi4train.training.optimizer import MOMENTS, build_adamw, load_moments, moments, num_updates
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


def saved(folder: Path, tensors: dict[str, Tensor]) -> SliceReader:
    """The tensors, written by two ranks."""
    parts = {slice_file(rank): slices_of(tensors, rank, 2) for rank in range(2)}
    write_folder(folder / "saved", parts, {})
    return SliceReader(folder / "saved")


def test_moments_come_back_by_name(named: dict[str, nn.Parameter], tmp_path: Path) -> None:
    first = build_adamw(named, ADAMW)
    assert moments(first, named) == {} and num_updates(first) == 0
    for _ in range(2):
        step(first, list(named.values()), gradient=1.0)
    before = {name: tensor.clone() for name, tensor in moments(first, named).items()}
    assert {key.split("/")[0] for key in before} == set(MOMENTS) and num_updates(first) == 2
    second = build_adamw(dict(reversed(named.items())), ADAMW)
    load_moments(second, named, saved(tmp_path, before), 2)
    again = moments(second, named)
    assert again.keys() == before.keys() and num_updates(second) == 2
    assert all(torch.equal(again[key], before[key]) for key in before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_moments_go_to_the_parameters_device_and_dtype(
    named: dict[str, nn.Parameter], tmp_path: Path, dtype: torch.dtype
) -> None:
    first = build_adamw(named, ADAMW)
    step(first, list(named.values()), gradient=1.0)
    elsewhere = {name: nn.Parameter(p.to("meta", dtype)) for name, p in named.items()}
    optimizer = build_adamw(elsewhere, ADAMW)
    load_moments(optimizer, elsewhere, saved(tmp_path, moments(first, named)), 1)
    for parameter in elsewhere.values():
        state = optimizer.state[parameter]
        assert {state[kind].device.type for kind in MOMENTS} == {"meta"}
        assert {state[kind].dtype for kind in MOMENTS} == {dtype}
        assert state["step"].dtype is torch.float32


def test_moments_of_other_tensors_are_refused(named: dict[str, nn.Parameter], tmp_path: Path) -> None:
    foreign = saved(tmp_path, {"exp_avg/lora.vision/x": torch.zeros(3)})
    with pytest.raises(CheckpointError, match=r"must hold exp_avg/vision_encoder/.* without a gap"):
        load_moments(build_adamw(named, ADAMW), named, foreign, 1)
