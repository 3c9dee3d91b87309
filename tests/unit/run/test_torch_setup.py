"""Device, threads, seed and number format follow the settings of the hardware."""

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import nn

from phi4train.config.convert import config_to_dict
from phi4train.config.schema import Config, Device, HardwareConfig, Precision
from phi4train.errors import ConfigError
from phi4train.run import torch_setup
from phi4train.run.torch_setup import (
    autocast,
    cast_weights,
    prepare_torch,
    resolve_device,
    told_hardware,
    told_threads,
)

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


@pytest.mark.parametrize(
    ("asked", "begun_with", "threads", "told"),
    [
        (0, None, 5, None),  # a run begins with what torch takes by itself, whatever ran before it
        (2, None, 2, None),
        (0, 3, 3, "goes on with the 3 CPU threads that it began with.*this machine would take 5 "),
        (0, 5, 5, None),
        (2, 3, 2, "began with 3 CPU threads and goes on with hardware.num_threads=2: its numbers move"),
        (3, 3, 3, None),
    ],
)
def test_a_run_keeps_its_threads_unless_a_number_is_asked_for(
    asked: int, begun_with: int | None, threads: int, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_setup, "_MACHINE_THREADS", 5)
    torch.set_num_threads(1)
    hardware = HardwareConfig(device=Device.cpu, num_threads=asked)
    prepare_torch(hardware, 0, begun_with)
    assert torch.get_num_threads() == threads
    found = told_threads(hardware, begun_with)
    assert found is None if told is None else re.search(told, found or "")


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


def test_other_numerics_than_before_are_told() -> None:
    before = config_to_dict(Config())["hardware"]
    hardware = Config().hardware
    assert told_hardware(before, replace(hardware, num_workers=7)) is None
    assert told_hardware({}, hardware) is None, "what an older version did not write"
    moved = replace(hardware, micro_batch_tokens=512, precision=Precision.bf16_mixed)
    assert told_hardware(before, moved) == (
        "hardware.precision: fp32 -> bf16_mixed, hardware.micro_batch_tokens: 4096 -> 512: the run's numbers "
        "move, if only by rounding"
    )
