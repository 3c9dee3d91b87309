"""Process-wide settings of torch and Lightning."""

import logging
import os
from contextlib import AbstractContextManager

import torch
from torch import nn

from phi4train.config.schema import Device, HardwareConfig, Precision


def prepare_torch(hardware: HardwareConfig, seed: int) -> torch.device:
    """Sets threads, seed and Lightning's verbosity for this process; returns the device to run on."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    if hardware.num_threads:
        torch.set_num_threads(hardware.num_threads)
    torch.manual_seed(seed)
    device = resolve_device(hardware.device)
    if device.index is not None:
        torch.cuda.set_device(device)
    return device


def resolve_device(device: Device) -> torch.device:
    """The device that `hardware.device` means on this machine; each of several ranks has a GPU of its own."""
    is_cuda = device is Device.cuda or (device is Device.auto and torch.cuda.is_available())
    if is_cuda and "LOCAL_RANK" in os.environ:
        return torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    return torch.device("cuda" if is_cuda else "cpu")


def cast_weights(model: nn.Module, precision: Precision) -> None:
    """Puts the weights into the dtype that `hardware.precision` keeps them in."""
    if precision is Precision.bf16_true:
        model.to(torch.bfloat16)


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """Where the model computes outside of Lightning: matrix products in bfloat16 under bf16_mixed."""
    is_mixed = precision is Precision.bf16_mixed
    return torch.autocast(device.type, torch.bfloat16, enabled=is_mixed)
