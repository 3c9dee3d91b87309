"""Device, threads, seed and number format follow the settings of the hardware."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

from phi4train.config.schema import Device, HardwareConfig, Precision
from phi4train.errors import ConfigError
from phi4train.run.torch_setup import autocast, cast_weights, prepare_torch, resolve_device

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    yield
    torch.set_num_threads(threads)
    torch.set_rng_state(state)


def test_the_seed_decides_the_random_numbers() -> None:
    drawn = []
    for seed in (3, 3, 4):
        assert prepare_torch(HardwareConfig(device=Device.cpu), seed) == CPU
        drawn.append(torch.rand(4).tolist())
    assert drawn[0] == drawn[1] != drawn[2]


def test_threads_are_set_when_asked_for_and_else_left_alone() -> None:
    torch.set_num_threads(2)
    prepare_torch(HardwareConfig(device=Device.cpu), 0)
    assert torch.get_num_threads() == 2
    prepare_torch(HardwareConfig(device=Device.cpu, num_threads=1), 0)
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize("has_cuda", [False, True])
def test_auto_takes_the_gpu_where_there_is_one(has_cuda: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: has_cuda)
    assert resolve_device(Device.auto).type == ("cuda" if has_cuda else "cpu")
    assert resolve_device(Device.cpu).type == "cpu"


def test_a_gpu_that_torch_cannot_use_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device(Device.cuda).type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"hardware.device=cuda must .* · found .* · add hardware=auto"):
        resolve_device(Device.cuda)


@pytest.mark.parametrize("precision", list(Precision))
def test_weights_and_products_have_the_format_of_the_precision(precision: Precision) -> None:
    model = nn.Linear(3, 3)
    cast_weights(model, precision)
    weights = torch.bfloat16 if precision is Precision.bf16_true else torch.float32
    products = torch.float32 if precision is Precision.fp32 else torch.bfloat16
    assert {parameter.dtype for parameter in model.parameters()} == {weights}
    with autocast(precision, CPU):
        assert model(torch.ones(1, 3, dtype=weights)).dtype == products
