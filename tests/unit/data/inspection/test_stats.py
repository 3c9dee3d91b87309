"""Statistics agree with what the loader yields."""

from dataclasses import replace
from pathlib import Path

import pytest

from phi4train.data.batches.loader import DataPlan, build_loader
from phi4train.data.inspection.stats import manifest_stats, render_stats
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture


def test_stats_agree_with_what_the_loader_yields(
    tmp_path: Path, mixture: Mixture, tokenizer: Tokenizer, limits: Limits
) -> None:
    plan = DataPlan(BatchSize(tokens=400), limits, 128, 256, seed=0, spec_augment=NO_SPEC_AUGMENT)
    stats = manifest_stats(mixture, plan, max_steps=64)
    steps = list(build_loader(mixture, tokenizer, plan, tmp_path, 0, 64))
    tokens = sum(len(batch.input_ids_T) for step in steps for batch in step.micro_batches)
    assert stats.tokens_per_step == pytest.approx(tokens / 64)
    assert stats.samples_per_step == pytest.approx(sum(step.num_drawn for step in steps) / 64)
    assert 0.9 < stats.pack_fill <= 1
    assert stats.modes == {"text": 60, "vision": 40} and stats.tasks == {"lm": 60, "vqa": 40}
    assert sum(stats.length_histogram.values()) == 100
    text, vision = stats.sources
    assert (text.sample_share, vision.sample_share) == (0.5, 0.5)
    assert text.tokens == text.target_tokens and vision.tokens > vision.target_tokens
    assert text.epochs == pytest.approx(vision.epochs * 40 / 60)
    rendered = render_stats(stats)
    assert "image: 40 items" in rendered and "megapixels" in rendered
    assert "modes: text 60, vision 40" in rendered and f"{text.tokens:,}" in rendered


def test_bars_are_as_long_as_their_share_of_the_most_and_never_empty(
    mixture: Mixture, limits: Limits
) -> None:
    plan = DataPlan(BatchSize(samples=4), limits, 128, 256, seed=0, spec_augment=NO_SPEC_AUGMENT)
    stats = replace(manifest_stats(mixture, plan, 8), length_histogram={16: 1, 32: 1000, 64: 500})
    lines = render_stats(stats).splitlines()[-3:]
    assert [line.count("#") for line in lines] == [1, 40, 20]


def test_shares_add_up_and_epochs_grow_with_the_steps(mixture: Mixture, limits: Limits) -> None:
    plan = DataPlan(BatchSize(samples=4), limits, 128, 256, seed=0, spec_augment=NO_SPEC_AUGMENT)
    short, long = (manifest_stats(mixture, plan, max_steps) for max_steps in (64, 128))
    for stats in (short, long):
        assert sum(source.sample_share for source in stats.sources) == pytest.approx(1)
        assert sum(source.token_share for source in stats.sources) == pytest.approx(1)
    for one, two in zip(short.sources, long.sources, strict=True):
        assert two.epochs == pytest.approx(2 * one.epochs) and one.epochs > 0


def test_lengths_are_counted_under_the_next_power_of_two(mixture: Mixture, limits: Limits) -> None:
    plan = DataPlan(BatchSize(samples=4), limits, 128, 256, seed=0, spec_augment=NO_SPEC_AUGMENT)
    histogram = manifest_stats(mixture, plan, 8).length_histogram
    lengths = [
        int(n)
        for source in mixture.sources[:1]
        for t in source.tables
        for n in t.samples["text_tokens"][:, 0]
    ]
    assert list(histogram) == sorted(histogram) and all(bound & (bound - 1) == 0 for bound in histogram)
    for bound in (2, 4, 8):
        assert histogram.get(bound, 0) == sum(bound // 2 < length <= bound for length in lengths)
