"""Readings: what a record says of each token of a medium, as labels at its slots."""

import json
from typing import Any

import numpy as np
import pytest
import torch
from small_shards import png

from phi4train.batch import IGNORE_INDEX
from phi4train.data.collate import collate
from phi4train.data.decoding import DecodedSample
from phi4train.data.lengths import Limits
from phi4train.data.media import media_kind
from phi4train.data.prompts import encode_sample
from phi4train.data.records import MediaPart, parse_sample
from phi4train.data.tokenizer import Tokenizer
from phi4train.errors import SampleError


def decoded(tokenizer: Tokenizer, limits: Limits, reading: str | None, text: str = "what") -> DecodedSample:
    part: dict[str, Any] = {"type": "image", "image": "0.png"}
    if reading is not None:
        part["reading"] = reading
    content = [{"type": "text", "text": text}, part]
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": "dog"}]
    sample = parse_sample("k", json.dumps({"messages": turns}).encode())
    kind, image = media_kind("image"), png(28, 28)
    encoded = encode_sample(sample, tokenizer, [kind.slot_length(kind.measure(image), limits)])
    return DecodedSample("k", sample, encoded, (kind.process(image, limits),))


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
    length = decoded(tokenizer, limits, None).encoded.slots[0].length
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
