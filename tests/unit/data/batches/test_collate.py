"""Collating lays samples end to end: nothing is padded, lost or mixed up."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from phi4train.batch import ImageInputs
from phi4train.data.batches.collate import collate, ordered_by_mode
from phi4train.data.batches.decoding import DecodedSample, SampleDecoder
from phi4train.data.media.limits import Limits
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from tests.unit.data.small_shards import write_questions, write_texts


@pytest.fixture
def samples(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer, limits: Limits
) -> list[DecodedSample]:
    """Texts and questions about images, in turn."""
    write_texts(tmp_path, 12)
    write_questions(tmp_path, 12)
    mixture = open_all("text", "vision")
    decoder = SampleDecoder(mixture, tokenizer, limits, ShardSource(tmp_path))
    # from the last one back: the order of keys is not that of the samples
    short = [row for row in reversed(range(12)) if mixture.shards[0][0].samples["text_tokens"][row] <= 64][:5]
    places = [place for row in range(5) for place in ((1, 0, 4 - row), (0, 0, short[row]))]
    return [decoder.encode(decoder.key(*place), *decoder.read(*place)) for place in places]


def test_equal_modes_are_adjacent_and_otherwise_the_order_stays(samples: list[DecodedSample]) -> None:
    ordered = ordered_by_mode(samples)
    assert [sample.sample.mode for sample in ordered] == ["text"] * 5 + ["vision"] * 5
    assert ordered == samples[1::2] + samples[::2]
    assert ordered_by_mode(ordered) == ordered


def test_every_sample_is_in_the_batch_as_it_is_alone(samples: list[DecodedSample]) -> None:
    batch = collate(samples)
    assert len(batch.input_ids_T) == sum(batch.sample_lengths) == len(batch.labels_T)
    start = first_crop = first_slot = 0
    for number, sample in enumerate(ordered_by_mode(samples)):
        alone = collate([sample])
        rows = slice(start, start + batch.sample_lengths[number])
        for name in ("input_ids_T", "position_ids_T", "labels_T"):
            assert torch.equal(getattr(batch, name)[rows], getattr(alone, name)), name
        assert (batch.keys[number], batch.tasks[number]) == (sample.key, sample.sample.task)
        if alone.media:
            whole, own = batch.media["image"], alone.media["image"]
            assert isinstance(whole, ImageInputs) and isinstance(own, ImageInputs)
            crops = slice(first_crop, first_crop + len(own.crops_C3SS))
            slots = slice(first_slot, first_slot + len(own.positions))
            assert torch.equal(whole.crops_C3SS[crops], own.crops_C3SS)
            assert torch.equal(whole.positions[slots], own.positions + start)
            first_crop, first_slot = crops.stop, slots.stop
        start = rows.stop


def test_the_order_that_samples_come_in_changes_nothing_of_a_sample(samples: list[DecodedSample]) -> None:
    shuffled = samples[:]
    random.Random(0).shuffle(shuffled)
    one, two = collate(samples), collate(shuffled)
    parts = [dict(zip(b.keys, b.input_ids_T.split(b.sample_lengths), strict=True)) for b in (one, two)]
    assert parts[0].keys() == parts[1].keys()
    assert all(torch.equal(ids_T, parts[1][key]) for key, ids_T in parts[0].items())


def test_a_batch_of_texts_has_no_media_and_no_readings(samples: list[DecodedSample]) -> None:
    batch = collate(samples[1::2])
    assert batch.media == {} and batch.readings_T is None
    assert batch.input_ids_T.dtype == batch.labels_T.dtype == torch.int64


def test_an_empty_batch_is_our_own_mistake() -> None:
    with pytest.raises(AssertionError, match="at least one sample"):
        collate([])
