"""SpecAugment: what is masked, and that it depends on seed, step and position alone."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from phi4train.batch import AudioInputs
from phi4train.data.batches.held_out import evaluation_batches
from phi4train.data.batches.loader import DataPlan, StepBatch, build_loader, data_fingerprint
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT, SpecAugment
from phi4train.data.order.dealing import VirtualRanks
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.writer import ShardWriter
from tests.unit.data.small_shards import ask, clip, limits_of, png

SETTINGS = SpecAugment(time_masks=2, time_width=8, frequency_masks=1, frequency_width=20)
LIMITS = limits_of(128)
PLAN = DataPlan(
    BatchSize(samples=8), LIMITS, pack_tokens=128, micro_batch_tokens=256, seed=0, spec_augment=SETTINGS
)
OFF = replace(PLAN, spec_augment=NO_SPEC_AUGMENT)

Load = Callable[..., list[StepBatch]]


@pytest.fixture
def clips(tmp_path: Path, open_all: Callable[..., Mixture]) -> Mixture:
    with ShardWriter(tmp_path / "s") as writer:
        for i in range(20):
            members = ("0.wav", "0.png")[: 1 + i % 2]
            media = {"0.wav": clip(8_000, seed=i), "0.png": png(30, 30)}
            writer.write(f"a{i:02d}", ask(*members), {name: media[name] for name in members})
    return open_all("s")


@pytest.fixture
def load(tmp_path: Path, tokenizer: Tokenizer) -> Load:
    def loaded(
        mixture: Mixture, plan: DataPlan, start: int = 0, end: int = 4, **options: int
    ) -> list[StepBatch]:
        return list(build_loader(mixture, tokenizer, plan, tmp_path / "cache", start, end, **options))

    return loaded


def features(steps: list[StepBatch]) -> list[torch.Tensor]:
    found = []
    for batch in (batch for step in steps for batch in step.micro_batches):
        inputs = batch.media["audio"]
        assert isinstance(inputs, AudioInputs)
        found.append(inputs.features_FM)
    return found


def equal(one: list[torch.Tensor], two: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_masks_are_stretches_of_the_mean_of_at_most_their_width() -> None:
    features_FM = torch.randn(60, 80, generator=torch.Generator().manual_seed(0))
    before = features_FM.clone()
    widest_time = widest_frequency = 0
    for seed in range(300):
        settings = replace(SETTINGS, time_masks=1)
        masked_FM = settings.masked(features_FM, np.random.default_rng(seed))
        changed_FM = masked_FM != before
        assert (masked_FM[changed_FM] == before.mean()).all()
        frames, bands = changed_FM.all(dim=1).nonzero(), changed_FM.all(dim=0).nonzero()
        widest_time, widest_frequency = max(widest_time, len(frames)), max(widest_frequency, len(bands))
        for stretch in (frames.squeeze(1), bands.squeeze(1)):
            assert (stretch.diff() == 1).all()
        assert changed_FM.sum() == 80 * len(frames) + 60 * len(bands) - len(frames) * len(bands)
    assert (widest_time, widest_frequency) == (8, 20)
    assert torch.equal(features_FM, before)


def test_at_most_half_of_a_short_clip_is_one_mask() -> None:
    settings = SpecAugment(time_masks=1, time_width=100)
    for seed in range(50):
        for frames in (1, 2, 7):
            masked_FM = settings.masked(torch.randn(frames, 80), np.random.default_rng(seed))
            assert (masked_FM.std(dim=1) == 0).sum() <= frames // 2


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_resumed_run_masks_the_same(clips: Mixture, load: Load, num_workers: int) -> None:
    whole = features(load(clips, PLAN))
    assert equal(whole, features(load(clips, PLAN, num_workers=num_workers)))
    later = load(clips, PLAN, 2, 4, num_workers=num_workers)
    assert equal(features(later), whole[-len(features(later)) :])


def test_ranks_and_micro_batches_do_not_change_the_masks(clips: Mixture, load: Load) -> None:
    whole = torch.cat(features(load(clips, PLAN, 0, 1)))
    parts = [features(load(clips, PLAN, 0, 1, virtual=VirtualRanks.of_rank(2, rank, 2))) for rank in (0, 1)]
    split = torch.cat([part for rank in parts for part in rank])
    assert sorted(whole.sum(dim=1).tolist()) == sorted(split.sum(dim=1).tolist())


def test_masks_differ_by_seed_step_and_sample(clips: Mixture, load: Load) -> None:
    plain, masked = features(load(clips, OFF)), features(load(clips, PLAN))
    assert not equal(plain, masked)
    first = [m != p for m, p in zip(masked, plain, strict=True)]
    patterns = {tuple(map(tuple, part.tolist())) for batch in first for part in batch.split(48)}
    assert len(patterns) > 20, "a pattern of its own for nearly every clip"
    narrow = replace(PLAN, spec_augment=replace(SETTINGS, time_masks=1))
    assert not equal(masked, features(load(clips, narrow)))


def test_evaluation_is_never_masked(clips: Mixture, load: Load, tmp_path: Path, tokenizer: Tokenizer) -> None:
    plain = {
        round(float(part.sum()), 2) for batch in features(load(clips, OFF, 0, 9)) for part in batch.split(48)
    }
    found = evaluation_batches(clips, tokenizer, LIMITS, tmp_path, 512, [])
    for batch in found:
        inputs = batch.batch.media["audio"]
        assert isinstance(inputs, AudioInputs)
        assert {round(float(part.sum()), 2) for part in inputs.features_FM.split(48)} <= plain


def test_the_settings_and_limits_are_part_of_the_fingerprint(clips: Mixture) -> None:
    base = data_fingerprint(clips, OFF)
    assert data_fingerprint(clips, PLAN) != base
    for change in ({"max_audio_seconds": 3.0}, {"video_fps": 1.0}, {"max_frames": 8}):
        limits = replace(LIMITS, **change)  # type: ignore[arg-type]
        assert data_fingerprint(clips, replace(OFF, limits=limits)) != base, change
