"""Sensor readings as a modality: a time series becomes tokens, eight readings to a token.

Everything that phi4train must know stands in this file, and is declared at its end; `imports:
[sensor_modality]` in a recipe is all that calls it.

A media member `<name>.sensor` holds `SNSR`, the number of readings as uint32, and that many float32, all
little endian. Shape suffixes: N tokens, R readings of a token, H width of the encoder, D model dimension.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phi4train.batch import move_tensors
from phi4train.data.media.kind import MediaSize
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import SpecAugment
from phi4train.errors import SampleError
from phi4train.modality import Component, ComponentFacts, Modality, Mode, key_under, register_modality
from phi4train.model.component_names import LANGUAGE_MODEL, size_of
from phi4train.model.phi4 import Phi4Model
from phi4train.model.shapes import ModelShape

READINGS_PER_TOKEN = 8
MAX_READINGS = 4096
_HEADER = struct.Struct("<4sI")


def encode_readings(readings: Sequence[float]) -> bytes:
    """The content of a media member."""
    return _HEADER.pack(b"SNSR", len(readings)) + struct.pack(f"<{len(readings)}f", *readings)


@dataclass(frozen=True)
class SensorInputs:
    """All series of a batch: readings of each token, and the token's place in its series; see MediaInputs."""

    readings_NR: Tensor
    places_N: Tensor
    positions: Tensor

    def to(self, device: torch.device) -> "SensorInputs":
        """A copy on `device`."""
        return move_tensors(self, device)


@dataclass(frozen=True)
class SensorKind:
    """See MediaKind. Its items are the readings of tokens (N, R), filled up with 0."""

    name: str = "sensor"
    version: int = 1
    extensions: tuple[str, ...] = ("sensor",)
    slot_token: str = "<|tag|>"

    def measure(self, content: bytes) -> MediaSize:
        """The number of readings. Raises SampleError: `bad_sensor`."""
        magic, number = _HEADER.unpack_from(content) if len(content) >= _HEADER.size else (b"", 0)
        if magic != b"SNSR" or number == 0 or len(content) != _HEADER.size + 4 * number:
            raise SampleError("bad_sensor", f"a series has a header and its readings · found {content[:8]!r}")
        return MediaSize(frames=number)

    def slot_length(self, size: MediaSize, limits: Limits) -> int:
        """Tokens of the series. Raises SampleError: `sensor_too_long`."""
        if size.frames > MAX_READINGS:
            raise SampleError("sensor_too_long", f"at most {MAX_READINGS} readings · found {size.frames}")
        return -(-size.frames // READINGS_PER_TOKEN)

    def process(self, content: bytes, limits: Limits) -> Tensor:
        """The readings with mean 0 and deviation 1. Raises SampleError: `bad_sensor`."""
        readings = torch.frombuffer(bytearray(content[_HEADER.size :]), dtype=torch.float32)
        if not bool(readings.isfinite().all()):
            raise SampleError("bad_sensor", "readings are finite · found others · leave the series out")
        scaled = (readings - readings.mean()) / readings.std(correction=0).clamp(min=1e-6)
        return F.pad(scaled, (0, -len(scaled) % READINGS_PER_TOKEN)).view(-1, READINGS_PER_TOKEN)

    def augment(self, item: Tensor, settings: SpecAugment, random: np.random.Generator) -> Tensor:
        """The series as it is."""
        return item

    def collate(self, items: Sequence[Tensor], modes: Sequence[str], positions: Tensor) -> SensorInputs:
        """All tokens end to end."""
        places = torch.cat([torch.arange(len(item)) for item in items])
        return SensorInputs(torch.cat(list(items)), places, positions)

    def describe(self, size: MediaSize) -> str:
        """The number of readings."""
        return f"{size.frames} readings"

    def totals(self, sizes: Any) -> dict[str, float]:
        """Readings."""
        return {"readings": float(sizes["frames"].sum())}


class SensorEncoder(nn.Module):
    """Features of tokens, each from its own readings and its place in the series."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.readings = nn.Linear(READINGS_PER_TOKEN, width)
        self.place = nn.Embedding(MAX_READINGS // READINGS_PER_TOKEN, width)
        self.mix = nn.Linear(width, width)

    def forward(self, inputs: SensorInputs) -> Tensor:
        """Features (N, H)."""
        features_NH = F.gelu(self.readings(inputs.readings_NR) + self.place(inputs.places_N))
        mixed: Tensor = F.gelu(self.mix(features_NH))
        return mixed


def _install(model: Phi4Model, shape: ModelShape) -> None:
    """Adds encoder and projector as one module, which maps SensorInputs to tokens (N, D)."""
    if "sensor" not in model.encoders:
        width = int(size_of("sensor_encoder.width", shape.extra))
        projector = nn.Linear(width, shape.language_model.hidden_dim)
        model.encoders["sensor"] = nn.Sequential(SensorEncoder(width), projector)


def _component(name: str, module: str, needs: str, facts: ComponentFacts) -> Component:
    def initialise(model: Phi4Model, shape: ModelShape, generator: torch.Generator) -> None:
        for parameter in model.get_submodule(module).parameters():
            std = parameter.shape[1] ** -0.5 if parameter.dim() == 2 else 0.0
            parameter.copy_(torch.empty(parameter.shape).normal_(0.0, std, generator=generator))

    return Component(name, _install, key_under(module), initialise, (LANGUAGE_MODEL, needs), facts=facts)


_ENCODER, _PROJECTOR = "sensor_encoder", "sensor_projector"

register_modality(
    Modality(
        kind=SensorKind(),
        components=(
            _component(_ENCODER, "encoders.sensor.0", _PROJECTOR, ComponentFacts(sizes={"width": 256})),
            _component(_PROJECTOR, "encoders.sensor.1", _ENCODER, ComponentFacts()),
        ),
        modes=(Mode("sensor", ("sensor",), "sensor"),),
        adapter="sensor",
    )
)
