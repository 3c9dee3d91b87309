"""Evaluation batches: every sample once, in order, as training batches or as prompts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from phi4train.data.batches.held_out import EvaluationBatch, evaluation_batches
from phi4train.data.batches.loader import SkippedSample
from phi4train.data.media.limits import Limits
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from tests.unit.data.small_shards import write_preferences, write_questions

Run = Callable[..., list[EvaluationBatch]]


@pytest.fixture
def run(tmp_path: Path, mixture: Mixture, tokenizer: Tokenizer, limits: Limits) -> Run:
    def batches(max_tokens: int = 300, **options: Any) -> list[EvaluationBatch]:
        skipped = options.pop("skipped", [])
        return list(evaluation_batches(mixture, tokenizer, limits, tmp_path, max_tokens, skipped, **options))

    return batches


def test_every_sample_comes_once_and_batches_keep_their_tokens(run: Run, mixture: Mixture) -> None:
    batches = run()
    keys = [key for each in batches for key in each.batch.keys]
    assert len(set(keys)) == 100 and all(len(each.batch.input_ids_T) <= 300 for each in batches)
    tokens = sum(int(table.samples["text_tokens"].sum()) for table in mixture.shards[0])
    text_positions = sum(
        length
        for each in batches
        for length, mode in zip(each.batch.sample_lengths, each.batch.modes, strict=True)
        if mode == "text"
    )
    assert text_positions == tokens


def test_the_samples_stand_in_the_batchs_order(run: Run) -> None:
    for each in run():
        assert [key.rpartition("/")[2] for key in each.batch.keys] == [sample.key for sample in each.samples]


def test_prompts_end_where_the_answer_begins_and_keep_their_answers(run: Run, tokenizer: Tokenizer) -> None:
    skipped: list[SkippedSample] = []
    batches = run(as_prompts=True, skipped=skipped)
    assert sum(len(each.samples) for each in batches) == 40
    for each in batches:
        assert each.batch.num_targets == 0
        end = -1
        for length, sample in zip(each.batch.sample_lengths, each.samples, strict=True):
            end += length
            assert int(each.batch.input_ids_T[end]) == tokenizer.role_token_ids["assistant"]
            assert sample.answers == ("yes",)
    assert {sample.cause for sample in skipped} == {"no_prompt"}


def test_the_first_samples_of_each_source_can_be_asked_for(run: Run) -> None:
    keys = {key.rpartition("/")[2] for each in run(max_samples=3) for key in each.batch.keys}
    assert keys == {"t0000", "t0001", "t0002", "v0000", "v0001", "v0002"}


def test_unusable_samples_are_reported(
    tmp_path: Path,
    open_all: Callable[..., Mixture],
    tokenizer: Tokenizer,
    limits: Limits,
) -> None:
    write_questions(tmp_path, 5)
    tight = replace(limits, max_image_pixels=40 * 40)
    skipped: list[SkippedSample] = []
    batches = list(evaluation_batches(open_all("vision"), tokenizer, tight, tmp_path, 300, skipped))
    assert skipped and {sample.cause for sample in skipped} == {"image_too_large"}
    assert len(skipped) + sum(len(each.samples) for each in batches) == 5


def test_samples_are_reported_even_when_none_can_be_used(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer, limits: Limits
) -> None:
    write_questions(tmp_path, 5)
    nothing = replace(limits, max_image_pixels=1)
    skipped: list[SkippedSample] = []
    assert list(evaluation_batches(open_all("vision"), tokenizer, nothing, tmp_path, 300, skipped)) == []
    assert len(skipped) == 5


def test_preferences_are_left_out_of_one_objective_and_whole_in_the_other(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer, limits: Limits
) -> None:
    write_preferences(tmp_path, 8)
    mixture = open_all("preference")

    def batches(limits: Limits, skipped: list[SkippedSample]) -> list[EvaluationBatch]:
        return list(evaluation_batches(mixture, tokenizer, limits, tmp_path, 150, skipped))

    skipped: list[SkippedSample] = []
    assert batches(limits, skipped) == [] and len(skipped) == 8
    assert {(one.cause, "found prompt + chosen + rejected" in one.message) for one in skipped} == {
        ("unsupported_record", True)
    }
    found = batches(replace(limits, num_branches=2), none := [])
    assert none == [] and len(found) > 1
    for each in found:
        assert [key.rpartition("/")[2] for key in each.batch.keys] == [sample.key for sample in each.samples]
        assert len(each.batch.input_ids_T) <= 150
    assert sum(len(each.samples) for each in found) == 16
