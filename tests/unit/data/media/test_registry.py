"""Media kinds: batches that mix them, and a kind from outside of the package that is only registered."""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from phi4train.batch import AudioInputs, Batch, ImageInputs, move_tensors
from phi4train.data.batches.loader import DataPlan, StepBatch, build_loader, data_fingerprint
from phi4train.data.inspection.show import show_sample
from phi4train.data.media.kind import MediaSize
from phi4train.data.media.limits import Limits
from phi4train.data.media.registry import media_kind
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT, SpecAugment
from phi4train.data.order.lengths import measure_lengths
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.prompts import slot_token_id
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.arrays import MappedArrays
from phi4train.data.shards.index import index_folder, load_index
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import SampleError
from phi4train.modality import Modality, register_modality, unregister_modality
from phi4train.modes import Mode
from tests.unit.data.small_shards import ask, clip, limits_of, png

LIMITS = limits_of(128)
PLAN = DataPlan(
    BatchSize(samples=24),
    LIMITS,
    pack_tokens=256,
    micro_batch_tokens=512,
    seed=0,
    spec_augment=NO_SPEC_AUGMENT,
)


@dataclass(frozen=True)
class SensorInputs:
    values_N: Tensor
    positions: Tensor

    def to(self, device: torch.device) -> "SensorInputs":
        return move_tensors(self, device)


@dataclass(frozen=True)
class SensorKind:
    """A time series of floats, four to a token."""

    name: str = "sensor"
    version: int = 1
    extensions: tuple[str, ...] = ("f32",)
    slot_token: str = "<|tag|>"

    def measure(self, content: bytes) -> MediaSize:
        if len(content) % 16:
            raise SampleError("broken_sensor", "fours of floats")
        return MediaSize(frames=len(content) // 4)

    def slot_length(self, size: MediaSize, limits: Limits) -> int:
        if size.frames > 100:
            raise SampleError("sensor_too_long", "at most a hundred values")
        return size.frames // 4

    def process(self, content: bytes, limits: Limits) -> Tensor:
        return torch.frombuffer(bytearray(content), dtype=torch.float32)

    def augment(self, item: Tensor, settings: SpecAugment, random: np.random.Generator) -> Tensor:
        return item

    def collate(self, items: Sequence[Tensor], modes: Sequence[str], positions: Tensor) -> SensorInputs:
        return SensorInputs(torch.cat(list(items)), positions)

    def describe(self, size: MediaSize) -> str:
        return f"{size.frames} values"

    def totals(self, sizes: Any) -> dict[str, float]:
        return {"values": int(sizes["frames"].sum())}


def register(kind: SensorKind, modes: Mapping[str, Sequence[str]]) -> None:
    """Data knows it; there is no model here."""
    named = tuple(Mode(name, tuple(kinds), None) for name, kinds in modes.items())
    register_modality(Modality(kind, (), named, None))


@pytest.fixture
def sensor() -> Iterator[SensorKind]:
    kind = SensorKind()
    register(kind, {"sensor": ["sensor"], "sensor_speech": ["sensor", "audio"]})
    yield kind
    unregister_modality("sensor")


def series(*values: float) -> bytes:
    return struct.pack(f"<{len(values)}f", *values)


def write_all_modes(root: Path, number: int = 40) -> None:
    random = np.random.default_rng(0)
    with ShardWriter(root / "mixed", 200_000) as writer:
        for i in range(number):
            members = [("0.png",), ("0.wav",), ("0.png", "0.wav"), ("0.wav", "0.png", "1.flac"), ()][i % 5]
            media = {}
            for name in members:
                frames, rate = int(random.integers(3_000, 20_000)), int(random.choice([8_000, 16_000]))
                side = int(random.integers(20, 60))
                media[name] = png(side, side, i) if name == "0.png" else clip(frames, rate, seed=i)
            writer.write(f"m{i:02d}", ask(*members), media)


def batches(root: Path, mixture: Mixture, tokenizer: Tokenizer, **options: Any) -> list[Batch]:
    return [batch for step in steps(root, mixture, tokenizer, **options) for batch in step.micro_batches]


def steps(
    root: Path, mixture: Mixture, tokenizer: Tokenizer, plan: DataPlan = PLAN, **options: Any
) -> list[StepBatch]:
    found = list(build_loader(mixture, tokenizer, plan, root / "cache", 0, 3, **options))
    assert all(step.skipped == [] for step in found)
    return found


def test_a_batch_of_all_modes_packs_and_its_slots_align(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer
) -> None:
    write_all_modes(tmp_path)
    modes, mixture = set(), open_all("mixed")
    index = mixture.shards[0][0]
    assert [index.summary.modes[mode] for mode in index.samples["mode"][:5]] == [
        *("vision", "speech", "vision_speech", "vision_speech", "text")
    ]
    for batch in batches(tmp_path, mixture, tokenizer):
        assert sum(batch.sample_lengths) == len(batch.input_ids_T)
        assert list(batch.modes) == sorted(batch.modes), "equal modes are adjacent"
        modes |= set(batch.modes)
        for name, inputs in batch.media.items():
            slots = (batch.input_ids_T == slot_token_id(media_kind(name), tokenizer)).nonzero().squeeze(1)
            assert torch.equal(inputs.positions, slots)
        owner_of_T = np.repeat(np.arange(len(batch.modes)), batch.sample_lengths)
        sounds = batch.media["audio"]
        assert isinstance(sounds, AudioInputs) and isinstance(batch.media["image"], ImageInputs)
        assert sum(sounds.num_frames) == len(sounds.features_FM)
        tokens = [-(-frames // 8) for frames in sounds.num_frames]
        firsts = np.cumsum([0, *tokens[:-1]])
        owners = owner_of_T[sounds.positions.numpy()[firsts]]
        assert sum(tokens) == len(sounds.positions)
        assert sounds.projectors == tuple(batch.modes[owner] for owner in owners)
    assert modes == {"text", "vision", "speech", "vision_speech"}


@pytest.mark.parametrize("num_workers", [1, 2])
def test_audio_is_the_same_whoever_decodes_it(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer, num_workers: int
) -> None:
    write_all_modes(tmp_path, 20)
    mixture = open_all("mixed")
    method = "spawn" if num_workers == 1 else None
    other = batches(tmp_path, mixture, tokenizer, num_workers=num_workers, start_method=method)
    for one, two in zip(batches(tmp_path, mixture, tokenizer), other, strict=True):
        left, right = one.media["audio"], two.media["audio"]
        assert isinstance(left, AudioInputs) and isinstance(right, AudioInputs)
        assert torch.equal(left.features_FM, right.features_FM) and left.projectors == right.projectors
        assert torch.equal(left.positions, right.positions)


def write_sensors(root: Path) -> None:
    with ShardWriter(root / "sensors") as writer:
        for i in range(12):
            content = [{"type": "sensor", "sensor": "0.f32"}, {"type": "text", "text": "what"}]
            media = {"0.f32": series(*range(i, i + 4 * (1 + i % 3)))}
            if i % 2:
                content.insert(0, {"type": "audio", "audio": "0.wav"})
                media["0.wav"] = clip(4_000)
            turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "dog"}]
            writer.write(f"s{i:02d}", {"messages": turns}, media)


@pytest.mark.parametrize(
    "options", [{}, {"num_workers": 1, "start_method": "spawn"}], ids=["here", "spawned"]
)
def test_a_third_kind_is_added_by_registration_alone(
    tmp_path: Path,
    open_all: Callable[..., Mixture],
    tokenizer: Tokenizer,
    sensor: SensorKind,
    options: dict[str, Any],
) -> None:
    write_sensors(tmp_path)
    mixture, slot = open_all("sensors"), tokenizer.special_token_ids["<|tag|>"]
    assert mixture.shards[0][0].summary.media_kinds == ("sensor", "audio")
    for batch in batches(tmp_path, mixture, tokenizer, **options):
        inputs = batch.media["sensor"]
        assert isinstance(inputs, SensorInputs)
        assert torch.equal(inputs.positions, (batch.input_ids_T == slot).nonzero().squeeze(1))
        assert len(inputs.values_N) == 4 * len(inputs.positions)
        assert set(batch.modes) == {"sensor", "sensor_speech"}
        sounds = batch.media["audio"]
        assert isinstance(sounds, AudioInputs) and set(sounds.projectors) == {"speech"}
    shown = show_sample(mixture, tokenizer, LIMITS, ShardSource(tmp_path), 0)
    assert "sensor 0.f32: 1 tokens at 1, 4 values" in shown and "<|tag|>*1what" in shown


def test_an_index_of_an_unknown_kind_is_read_and_its_samples_are_left_out(
    tmp_path: Path, open_all: Callable[..., Mixture], sensor: SensorKind
) -> None:
    write_sensors(tmp_path)
    table = open_all("sensors").shards[0][0]
    assert (measure_lengths(table, np.arange(12), LIMITS).causes == "").all()
    unregister_modality("sensor")
    try:
        assert (measure_lengths(table, np.arange(12), LIMITS).causes == "unsupported_media").all()
    finally:
        register(sensor, {"sensor": ["sensor"]})


def test_the_order_of_registration_cannot_make_an_index_lie(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer, sensor: SensorKind
) -> None:
    write_sensors(tmp_path)
    open_all("sensors")
    unregister_modality("sensor")
    register(replace(sensor, name="radar", slot_token="<|endofprompt|>"), {"radar": ["radar"]})
    register(
        replace(sensor, extensions=("f33",)), {"sensor_speech": ["sensor", "audio"], "sensor": ["sensor"]}
    )
    try:
        path = str(tmp_path / "sensors-000000.tar")
        folder, source = index_folder(path, tmp_path), ShardSource(tmp_path)
        table = load_index(path, "s", folder, tokenizer.fingerprint, source, MappedArrays(), "index it")
        assert [table.media_kinds[kind] for kind in table.media["kind"][:3]] == ["sensor", "audio", "sensor"]
        assert [table.summary.modes[mode] for mode in table.samples["mode"][:2]] == [
            "sensor",
            "sensor_speech",
        ]
    finally:
        unregister_modality("radar")


def test_the_fingerprint_follows_the_versions_of_the_kinds_in_the_data(
    tmp_path: Path, open_all: Callable[..., Mixture], sensor: SensorKind
) -> None:
    write_sensors(tmp_path)
    mixture = open_all("sensors")
    base = data_fingerprint(mixture, PLAN)
    unregister_modality("sensor")
    modes = {"sensor": ["sensor"], "sensor_speech": ["sensor", "audio"]}
    register(replace(sensor, version=2), modes)
    assert data_fingerprint(mixture, PLAN) != base
    unregister_modality("sensor")
    register(sensor, modes)
    register(
        SensorKind(name="radar", extensions=("f33",), slot_token="<|endofprompt|>"), {"radar": ["radar"]}
    )
    try:
        assert data_fingerprint(mixture, PLAN) == base
    finally:
        unregister_modality("radar")


def test_limits_and_headers_of_a_third_kind_rule_samples_out(
    tmp_path: Path, open_all: Callable[..., Mixture], sensor: SensorKind
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        for key, content in (("a", series(*range(104))), ("b", b"123"), ("c", series(*range(8)))):
            turns = ask("0.f32")["messages"]
            turns[0]["content"][0] = {"type": "sensor", "sensor": "0.f32"}
            writer.write(key, {"messages": turns}, {"0.f32": content})
        turns = ask("0.png", "0.f32")["messages"]
        turns[0]["content"][1] = {"type": "sensor", "sensor": "0.f32"}
        writer.write("d", {"messages": turns}, {"0.png": png(20, 20), "0.f32": series(*range(8))})
    table = open_all("s").shards[0][0]
    found = measure_lengths(table, np.arange(4), LIMITS).causes.tolist()
    assert found == ["sensor_too_long", "broken_sensor", "", "no_mode"]


def test_a_slot_token_that_the_tokenizer_lacks_is_named(tokenizer: Tokenizer) -> None:
    with pytest.raises(ValueError, match="media kind 'sensor' must be a special token"):
        slot_token_id(SensorKind(slot_token="<|nowhere|>"), tokenizer)
