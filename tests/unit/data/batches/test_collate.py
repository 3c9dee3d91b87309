"""Collating lays samples end to end: nothing is padded, lost or mixed up."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from phi4train.batch import IGNORE_INDEX, AudioInputs, Batch, ImageInputs
from phi4train.data.batches.collate import collate, ordered_by_mode
from phi4train.data.batches.decoding import DecodedSample, SampleDecoder
from phi4train.data.batches.encoding import encode
from phi4train.data.batches.loader import DataPlan, StepBatch, build_loader, data_fingerprint
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT, SpecAugment
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from tests.unit.data.small_shards import clip, png, prefer, write_preferences, write_questions, write_texts


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
    tokens = mixture.shards[0][0].samples["text_tokens"]
    short = [row for row in reversed(range(12)) if tokens[row, 0] <= 64][:5]
    places = [place for row in range(5) for place in ((1, 0, 4 - row), (0, 0, short[row]))]
    return [encode(decoder.key(*place), *decoder.read(*place), tokenizer, limits) for place in places]


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


Open = Callable[..., Mixture]


def steps(
    folder: Path, mixture: Mixture, tokenizer: Tokenizer, limits: Limits, **more: object
) -> list[StepBatch]:
    plan = DataPlan(
        BatchSize(samples=6),
        limits,
        limits.sample_tokens,
        256,
        0,
        **{"spec_augment": NO_SPEC_AUGMENT, **more},
    )  # type: ignore[arg-type]
    return list(build_loader(mixture, tokenizer, plan, folder / "cache", 0, 4))


def sequences(batch: Batch) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Ids and labels of each sequence."""
    ids, labels = (values.split(batch.sample_lengths) for values in (batch.input_ids_T, batch.labels_T))
    return list(zip(ids, labels, strict=True))


def test_branches_are_adjacent_sequences_that_share_all_but_the_answer(
    tmp_path: Path, open_all: Open, tokenizer: Tokenizer, limits: Limits
) -> None:
    write_preferences(tmp_path)
    found = steps(tmp_path, open_all("preference"), tokenizer, replace(limits, num_branches=2))
    assert all(step.skipped == [] and step.num_drawn == 6 for step in found)
    for batch in (batch for step in found for batch in step.micro_batches):
        assert list(batch.modes) == sorted(batch.modes)
        for names in (batch.keys, batch.modes, batch.tasks):
            assert names[::2] == names[1::2] and len(names) == len(batch.sample_lengths)
        parts = sequences(batch)
        for (chosen, labels), (rejected, _) in zip(parts[::2], parts[1::2], strict=True):
            asked = int((labels != IGNORE_INDEX).nonzero()[0]) + 1
            assert torch.equal(chosen[:asked], rejected[:asked])
        restarts = (batch.position_ids_T == 0).nonzero().squeeze(1)
        assert len(restarts) == len(batch.sample_lengths)


def test_the_chosen_branch_comes_first(
    tmp_path: Path, open_all: Open, tokenizer: Tokenizer, limits: Limits
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        for i in range(6):
            writer.write(str(i), prefer(chosen="cat", rejected="dog"))
    (step, *_) = steps(tmp_path, open_all("s"), tokenizer, replace(limits, num_branches=2))
    for batch in step.micro_batches:
        answers = [tokenizer.decode(ids.tolist()).split("|>")[-2] for ids, _ in sequences(batch)]
        assert answers == ["cat<|end", "dog<|end"] * (len(answers) // 2)


def test_each_branch_has_the_media_of_the_prompt_masked_alike(
    tmp_path: Path, open_all: Open, tokenizer: Tokenizer, limits: Limits
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        for i in range(6):
            media = {"0.png": png(30, 40, i), "1.wav": clip(3200, seed=i)}
            writer.write(str(i), prefer(*media), media)
    masks = SpecAugment(1, 8, 1, 8)
    pairs = replace(limits, num_branches=2)
    mixture, seen = open_all("s"), []
    for options in ({}, {"spec_augment": masks}):
        for batch in (
            b for step in steps(tmp_path, mixture, tokenizer, pairs, **options) for b in step.micro_batches
        ):
            images, sounds = batch.media["image"], batch.media["audio"]
            assert isinstance(images, ImageInputs) and isinstance(sounds, AudioInputs)
            for inputs, slot in ((images, tokenizer.image_token_id), (sounds, tokenizer.audio_token_id)):
                assert torch.equal(inputs.positions, (batch.input_ids_T == slot).nonzero().squeeze(1))
            assert len(images.grids) == len(sounds.num_frames) == len(batch.keys)
            clips = sounds.features_FM.split(sounds.num_frames)
            assert all(torch.equal(a, b) for a, b in zip(clips[::2], clips[1::2], strict=True))
            seen.append(sounds.features_FM)
    assert not torch.equal(torch.cat(seen[: len(seen) // 2]), torch.cat(seen[len(seen) // 2 :]))


def test_records_that_the_objective_does_not_take_are_holes_with_a_word(
    tmp_path: Path, open_all: Open, tokenizer: Tokenizer, limits: Limits
) -> None:
    with ShardWriter(tmp_path / "mixed") as writer:
        for i in range(12):
            writer.write(str(i), prefer() if i % 3 == 0 else {"text": "the cat"})
    skipped = [one for step in steps(tmp_path, open_all("mixed"), tokenizer, limits) for one in step.skipped]
    assert skipped and {one.cause for one in skipped} == {"unsupported_record"}
    assert all("found prompt + chosen + rejected · leave the record out" in one.message for one in skipped)


def test_the_number_of_branches_is_part_of_the_name_of_the_data(mixture: Mixture, limits: Limits) -> None:
    plan = DataPlan(BatchSize(samples=6), limits, 128, 256, 0, NO_SPEC_AUGMENT)
    pairs = replace(plan, limits=replace(limits, num_branches=2))
    assert data_fingerprint(mixture, plan) != data_fingerprint(mixture, pairs)
