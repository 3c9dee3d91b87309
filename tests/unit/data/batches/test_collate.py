"""Collating: the branches of a preference as neighbours, each with media of its own."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from phi4train.batch import IGNORE_INDEX, AudioInputs, Batch, ImageInputs
from phi4train.data.batches.loader import DataPlan, StepBatch, build_loader, data_fingerprint
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import SpecAugment
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.writer import ShardWriter
from tests.unit.data.small_shards import clip, png, prefer, write_preferences

Open = Callable[..., Mixture]


def steps(
    folder: Path, mixture: Mixture, tokenizer: Tokenizer, limits: Limits, **more: object
) -> list[StepBatch]:
    plan = DataPlan(BatchSize(samples=6), limits, limits.sample_tokens, 256, seed=0, **more)  # type: ignore[arg-type]
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
    plan = DataPlan(BatchSize(samples=6), limits, 128, 256, seed=0)
    pairs = replace(plan, limits=replace(limits, num_branches=2))
    assert data_fingerprint(mixture, plan) != data_fingerprint(mixture, pairs)
