"""Process-wide settings of torch and Lightning."""

import logging
from contextlib import AbstractContextManager

import torch
from torch import nn

from phi4train.config.schema import Device, HardwareConfig, Precision
from phi4train.errors import ConfigError


def prepare_torch(hardware: HardwareConfig, seed: int) -> torch.device:
    """Sets threads, seed and Lightning's verbosity for this process; returns the device to run on."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    if hardware.num_threads:
        torch.set_num_threads(hardware.num_threads)
    torch.manual_seed(seed)
    return resolve_device(hardware.device)


def resolve_device(device: Device) -> torch.device:
    """The device that `hardware.device` means on this machine.

    Raises:
        ConfigError: torch finds none of that kind.
    """
    has_cuda = torch.cuda.is_available()
    if device is Device.auto:
        return torch.device("cuda" if has_cuda else "cpu")
    if device is Device.cuda and not has_cuda:
        why = "a torch without CUDA" if torch.version.cuda is None else "no GPU that torch can use"
        raise ConfigError(
            f"hardware.device=cuda must name a device of this machine · found {why} (torch "
            f"{torch.__version__}) · add hardware=auto to run on the CPU, or check the driver with nvidia-smi"
        )
    return torch.device(device.name)


def cast_weights(model: nn.Module, precision: Precision) -> None:
    """Puts the weights into the dtype that `hardware.precision` keeps them in."""
    if precision is Precision.bf16_true:
        model.to(torch.bfloat16)


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Where the model computes outside of Lightning: matrix products in bfloat16 under bf16_mixed."""
    is_mixed = precision is Precision.bf16_mixed
    return torch.autocast(device.type, torch.bfloat16, enabled=is_mixed)
