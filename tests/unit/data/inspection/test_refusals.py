"""A check refuses what a run refuses, found by the same functions."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phi4train.data.batches.bad_samples import BadSampleLimits
from phi4train.data.batches.loader import DataPlan, build_loader
from phi4train.data.inspection.check import check_mixture
from phi4train.data.inspection.refusals import find_refusals
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import BadDataError, ManifestError
from phi4train.run.run_folder import RunFolder
from phi4train.training.watching.progress import Progress
from phi4train.training.watching.sample_guard import SampleGuard
from tests.unit.data.small_shards import png, question, words

STEPS = 80
TOO_LONG = {"messages": [{"role": "user", "content": "cat " * 300}, {"role": "assistant", "content": "a"}]}


def write(root: Path, name: str, num_good: int, num_long: int = 0, num_broken: int = 0) -> None:
    rng = random.Random(name)
    records: list[tuple[Any, dict[str, bytes]]] = [({"text": words(rng, 9)}, {}) for _ in range(num_good)]
    records += [(TOO_LONG, {}) for _ in range(num_long)]
    records += [(question(rng), {"0.png": png(30, 30)[:60] + bytes(99)}) for _ in range(num_broken)]
    rng.shuffle(records)
    with ShardWriter(root / name) as writer:
        for i, (record, media) in enumerate(records):
            writer.write(f"{i}", record, media)


@pytest.fixture
def plan(limits: Limits) -> DataPlan:
    return DataPlan(BatchSize(samples=5), limits, 64, 64, seed=0, spec_augment=NO_SPEC_AUGMENT)


@pytest.fixture
def checked(
    tmp_path: Path, tokenizer: Tokenizer, plan: DataPlan, open_all: Callable[..., Mixture]
) -> Callable[..., list[str]]:
    """What a check of these sources refuses, after it is compared with what a run on them does."""

    def refusals(*sources: str, max_fraction: float = 0.01, max_in_a_row: int = 100) -> list[str]:
        mixture = open_all(*sources)
        report = check_mixture(mixture, tokenizer, plan.limits, tmp_path)
        limits = BadSampleLimits(max_fraction, max_in_a_row)
        found = find_refusals(mixture, plan, STEPS, limits, report.sources)
        assert bool(found) == (run_error(mixture, tokenizer, plan, tmp_path, limits) is not None), found
        return found

    return refusals


def run_error(
    mixture: Mixture, tokenizer: Tokenizer, plan: DataPlan, folder: Path, limits: BadSampleLimits
) -> str | None:
    """What stops a run."""
    guard = SampleGuard(RunFolder(folder), Progress(), limits.max_fraction, limits.max_in_a_row)
    try:
        for step in build_loader(mixture, tokenizer, plan, folder, 0, STEPS):
            guard.on_train_batch_start(None, None, step, 0)  # type: ignore[arg-type]
    except (BadDataError, ManifestError) as error:
        return str(error)
    return None


def test_sound_sources_and_few_bad_samples_are_not_refused(
    tmp_path: Path, checked: Callable[..., list[str]]
) -> None:
    write(tmp_path, "good", 40)
    write(tmp_path, "fair", 38, num_long=1, num_broken=1)
    assert checked("good") == []
    assert checked("good", "fair", max_fraction=0.2) == []


def test_a_source_without_a_usable_sample_is_refused(
    tmp_path: Path, checked: Callable[..., list[str]]
) -> None:
    write(tmp_path, "good", 40)
    write(tmp_path, "long", 0, num_long=9)
    (refusal,) = checked("good", "long", max_fraction=1)
    assert "source long must have usable samples within the limits · found none" in refusal


@pytest.mark.parametrize("bad", [{"num_long": 20}, {"num_broken": 20}])
def test_half_of_a_source_bad_is_refused_whoever_finds_it(
    bad: dict[str, int], tmp_path: Path, checked: Callable[..., list[str]]
) -> None:
    write(tmp_path, "good", 40)
    write(tmp_path, "half", 20, **bad)
    (refusal,) = checked("good", "half")
    assert refusal.startswith("at most data.max_bad_fraction=0.01 of the samples may be unusable · found ")
    assert ("steps" if "num_long" in bad else "that were decoded") in refusal


def test_bad_samples_in_a_row_are_refused(tmp_path: Path, checked: Callable[..., list[str]]) -> None:
    write(tmp_path, "s", 1, num_long=300)
    (refusal,) = checked("s", max_fraction=1, max_in_a_row=20)
    assert refusal.startswith("fewer than data.max_bad_in_a_row=20 samples")


def test_too_small_a_batch_for_all_sources_is_refused_in_the_planners_words(
    tmp_path: Path, open_all: Callable[..., Mixture], limits: Limits
) -> None:
    names = [f"s{i}" for i in range(70)]
    for name in names:
        write(tmp_path, name, 1)
    plan = DataPlan(BatchSize(samples=1), limits, 64, 64, seed=0, spec_augment=NO_SPEC_AUGMENT)
    (refusal,) = find_refusals(open_all(*names), plan, STEPS, BadSampleLimits(1, 100), [])
    assert "64 steps must hold at least one sample of each source" in refusal
