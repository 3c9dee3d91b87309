"""Process-wide settings of torch and Lightning."""

import logging
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import nn

from phi4train.config.schema import Device, HardwareConfig, Precision
from phi4train.errors import ConfigError

_MACHINE_THREADS = torch.get_num_threads()
"""What torch takes by itself: the cores of this machine, or what the environment says."""


def prepare_torch(hardware: HardwareConfig, seed: int, begun_with: int | None = None) -> torch.device:
    """Sets threads, seed and Lightning's verbosity for this process; returns the device to run on.

    Args:
        begun_with: see `num_threads`.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    threads = num_threads(hardware, begun_with)
    if threads != torch.get_num_threads():  # setting the same number again may change how MKL shares work
        torch.set_num_threads(threads)
    torch.manual_seed(seed)
    return resolve_device(hardware.device)


def num_threads(hardware: HardwareConfig, begun_with: int | None) -> int:
    """CPU threads of a run: sums are taken in an order that depends on them.

    Args:
        begun_with: threads that the run had so far, which it keeps unless `hardware` names a number;
            None: it begins.
    """
    return hardware.num_threads or begun_with or _MACHINE_THREADS


def told_threads(hardware: HardwareConfig, begun_with: int | None) -> str | None:
    """What is told of a run that goes on where its threads are not a matter of course; None: nothing."""
    if begun_with is None or begun_with == (hardware.num_threads or _MACHINE_THREADS):
        return None
    if hardware.num_threads:
        return (
            f"the run began with {begun_with} CPU threads and goes on with hardware.num_threads="
            f"{hardware.num_threads}: its numbers move by rounding"
        )
    return (
        f"the run goes on with the {begun_with} CPU threads that it began with, as its numbers depend on "
        f"them; this machine would take {_MACHINE_THREADS} (hardware.num_threads={_MACHINE_THREADS})"
    )


def told_hardware(before: Mapping[str, Any], hardware: HardwareConfig) -> str | None:
    """What is told of a run that goes on with other numerics than it had so far; None: it has the same.

    Args:
        before: `hardware` of its last start, as `config_to_dict` gives it.
    """
    now = {
        "device": hardware.device.name,
        "precision": hardware.precision.name,
        "micro_batch_tokens": hardware.micro_batch_tokens,
    }
    changed = [f"hardware.{k}: {before[k]} -> {now[k]}" for k in now if k in before and before[k] != now[k]]
    return f"{', '.join(changed)}: the run's numbers move, if only by rounding" if changed else None


def resolve_device(device: Device) -> torch.device:
    """The device that `hardware.device` means on this machine; each of several ranks has a GPU of its own.

    Raises:
        ConfigError: torch finds none of that kind.
    """
    has_cuda = torch.cuda.is_available()
    if device is Device.cuda and not has_cuda:
        why = "a torch without CUDA" if torch.version.cuda is None else "no GPU that torch can use"
        raise ConfigError(
            f"hardware.device=cuda must name a device of this machine · found {why} (torch "
            f"{torch.__version__}) · add hardware=auto to run on the CPU, or check the driver with nvidia-smi"
        )
    if device is Device.cpu or not has_cuda:
        return torch.device("cpu")
    rank = os.environ.get("LOCAL_RANK")
    return torch.device("cuda") if rank is None else torch.device("cuda", int(rank))


def cast_weights(model: nn.Module, precision: Precision) -> None:
    """Puts the weights into the dtype that `hardware.precision` keeps them in."""
    if precision is Precision.bf16_true:
        model.to(torch.bfloat16)


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Where the model computes outside of Lightning: matrix products in bfloat16 under bf16_mixed."""
    is_mixed = precision is Precision.bf16_mixed
    return torch.autocast(device.type, torch.bfloat16, enabled=is_mixed)
