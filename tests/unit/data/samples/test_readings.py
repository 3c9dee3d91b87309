"""Readings: what a record says of each token of a medium, as labels at its slots."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from phi4train.batch import IGNORE_INDEX
from phi4train.data.batches.collate import collate
from phi4train.data.batches.encoding import DecodedSample
from phi4train.data.batches.loader import DataPlan, build_loader
from phi4train.data.media.limits import Limits
from phi4train.data.media.registry import media_kind
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.prompts import encode_sample
from phi4train.data.samples.records import MediaPart, parse_sample
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import SampleError
from tests.unit.data.small_shards import ask, clip, png


def decoded(tokenizer: Tokenizer, limits: Limits, reading: str | None, text: str = "what") -> DecodedSample:
    part: dict[str, Any] = {"type": "image", "image": "0.png"}
    if reading is not None:
        part["reading"] = reading
    content = [{"type": "text", "text": text}, part]
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "dog"}]
    sample = parse_sample("k", json.dumps({"messages": turns}).encode())
    kind, image = media_kind("image"), png(28, 28)
    branches = encode_sample(sample, tokenizer, [kind.slot_length(kind.measure(image), limits)])
    return DecodedSample("k", sample, branches, (kind.process(image, limits),))


def test_a_part_keeps_its_reading() -> None:
    turns = [
        {"role": "user", "content": [{"type": "audio", "audio": "0.wav", "reading": "~7~"}]},
        {"role": "assistant", "content": "7"},
    ]
    sample = parse_sample("k", json.dumps({"messages": turns}).encode())
    assert sample.media == (MediaPart("audio", "0.wav", "~7~"),)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "text", "text": "a", "reading": "b"},
        {"type": "image", "image": "0.png", "reading": 7},
        {"type": "video", "frames": ["0.png"], "reading": "7"},
    ],
)
def test_other_parts_have_no_reading(part: dict[str, Any]) -> None:
    record = {"messages": [{"role": "user", "content": [part]}, {"role": "assistant", "content": "7"}]}
    with pytest.raises(SampleError):
        parse_sample("k", json.dumps(record).encode())


def test_labels_stand_at_the_slots_of_their_own_medium(tokenizer: Tokenizer, limits: Limits) -> None:
    length = decoded(tokenizer, limits, None).branches[0].slots[0].length
    ids = np.random.default_rng(0).choice(tokenizer.encode("~7=1"), length)
    reading = tokenizer.decode(ids.tolist())
    assert tokenizer.encode(reading) == ids.tolist()
    samples = [
        decoded(tokenizer, limits, None),
        decoded(tokenizer, limits, reading, text="the red cat"),
        decoded(tokenizer, limits, None, text="hello"),
    ]
    batch = collate(samples)
    assert batch.readings_T is not None
    (known,) = (batch.readings_T != IGNORE_INDEX).nonzero(as_tuple=True)
    assert batch.readings_T[known].tolist() == ids.tolist()
    assert torch.equal(known, batch.media["image"].positions[length : 2 * length])
    assert collate([samples[0], samples[2]]).readings_T is None


def test_a_reading_of_another_length_makes_the_sample_unusable(tokenizer: Tokenizer, limits: Limits) -> None:
    with pytest.raises(SampleError, match=r"one token for each of its \d+ slots · found 2") as caught:
        decoded(tokenizer, limits, "~7")
    assert caught.value.cause == "reading_mismatch"


@pytest.mark.parametrize(("as_prompt", "length"), [(True, 3), (False, 0)], ids=["evaluation", "index"])
def test_where_nothing_trains_no_reading_is_looked_at(
    tokenizer: Tokenizer, as_prompt: bool, length: int
) -> None:
    part = {"type": "image", "image": "0.png", "reading": "7"}
    turns = [{"role": "user", "content": [part]}, {"role": "assistant", "content": "dog"}]
    sample = parse_sample("k", json.dumps({"messages": turns}).encode())
    (branch,) = encode_sample(sample, tokenizer, [length], as_prompt)
    (slot,) = branch.slots
    assert slot.reading is None


PNG_READING, WAV_READING = ("~=&" * 5)[:13], "&~="
"""One sign for each slot of an image of 28 by 28 pixels, and of a clip of 0.2 seconds."""


def write_read_media(folder: Path) -> None:
    """Every mix of media, each with readings, with none, and with readings of one token too many."""
    contents = {"0.png": png(28, 28), "1.wav": clip(3200)}
    readings = {"0.png": PNG_READING, "1.wav": WAV_READING}
    with ShardWriter(folder / "s") as writer:
        for number, members in enumerate([["0.png"], ["1.wav"], ["1.wav", "0.png"]]):
            for name, surplus in (("read", ""), ("silent", None), ("misfit", "~")):
                record = ask(*members)
                for part in record["messages"][0]["content"]:
                    if surplus is not None and part["type"] != "text":
                        part["reading"] = readings[part[part["type"]]] + surplus
                writer.write(f"{name}{number}", record, {member: contents[member] for member in members})
        writer.write("text", ask())


def test_in_mixed_batches_readings_stand_at_their_slots_and_misfits_are_counted(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer, limits: Limits
) -> None:
    write_read_media(tmp_path)
    plan = DataPlan(
        BatchSize(samples=10),
        limits,
        pack_tokens=128,
        micro_batch_tokens=256,
        seed=0,
        spec_augment=NO_SPEC_AUGMENT,
    )
    steps = list(build_loader(open_all("s"), tokenizer, plan, tmp_path / "cache", 0, 6))
    slots = {tokenizer.image_token_id: PNG_READING, tokenizer.audio_token_id: WAV_READING}
    seen: list[str] = []
    for batch in (micro_batch for step in steps for micro_batch in step.micro_batches):
        assert batch.readings_T is not None
        ids, readings = (
            values.split(batch.sample_lengths) for values in (batch.input_ids_T, batch.readings_T)
        )
        for key, ids_T, readings_T in zip(batch.keys, ids, readings, strict=True):
            expected_T = torch.full_like(ids_T, IGNORE_INDEX)
            for slot_id, reading in slots.items() if "/read" in key else ():
                at_slot_T = ids_T == slot_id
                if at_slot_T.any():
                    expected_T[at_slot_T] = torch.tensor(tokenizer.encode(reading))
            assert torch.equal(readings_T, expected_T), key
            seen.append(key.partition("/")[2])
    assert set(seen) == {"text", *(f"{name}{number}" for name in ("read", "silent") for number in range(3))}
    assert {(s.key.partition("/")[2], s.cause) for step in steps for s in step.skipped} == {
        (f"misfit{number}", "reading_mismatch") for number in range(3)
    }
