"""Process-wide settings of torch and Lightning."""

import logging

import torch

from phi4train.config.schema import Device, HardwareConfig


def prepare_torch(hardware: HardwareConfig, seed: int) -> torch.device:
    """Sets threads, seed and Lightning's verbosity for this process; returns the device to run on."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    if hardware.num_threads:
        torch.set_num_threads(hardware.num_threads)
    torch.manual_seed(seed)
    return resolve_device(hardware.device)


def resolve_device(device: Device) -> torch.device:
    """The device that `hardware.device` means on this machine."""
    if device is Device.auto:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device.name)
