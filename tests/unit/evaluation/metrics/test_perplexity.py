"""Perplexity counts every target once, by task and over all."""

import math
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.evaluation.metrics.ngrams import NGrams, fit_ngrams
from phi4train.evaluation.metrics.perplexity import (
    ALL_TASKS,
    BIGRAM,
    MODEL,
    UNIGRAM,
    Perplexity,
    perplexities,
    sum_losses,
)

VOCAB, DIM = 11, 4


class FixedModel:
    """Hidden rows from a table by input id."""

    def __init__(self, scale: float) -> None:
        generator = torch.Generator().manual_seed(0)
        self.table_VD = scale * torch.randn(VOCAB, DIM, generator=generator)
        self.head_weight = torch.randn(VOCAB, DIM, generator=generator)

    def __call__(self, batch: Batch) -> Tensor:
        return self.table_VD[batch.input_ids_T]


def make_batch(lengths: tuple[int, ...], tasks: tuple[str, ...], seed: int) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    total = sum(lengths)
    labels = torch.randint(VOCAB, (total,), generator=generator)
    labels[torch.rand(total, generator=generator) < 0.3] = IGNORE_INDEX
    positions = torch.cat([torch.arange(length) for length in lengths])
    ids = torch.randint(VOCAB, (total,), generator=generator)
    return Batch(ids, positions, labels, lengths, ("text",) * len(lengths), tasks, tasks)


BATCHES = [make_batch((9, 4, 12), ("b", "a", "b"), seed=0), make_batch((7, 5), ("a", "c"), seed=1)]


def measure_perplexity(
    model: FixedModel, batches: Sequence[Batch], ngrams: NGrams | None = None
) -> list[Perplexity]:
    return perplexities([sum_losses(model, batches, ngrams)])


def test_a_uniform_model_has_the_vocabulary_as_perplexity() -> None:
    for result in measure_perplexity(FixedModel(scale=0.0), BATCHES):
        assert result.perplexity() == pytest.approx(VOCAB)


def test_losses_equal_the_plain_cross_entropy_of_each_task() -> None:
    model = FixedModel(scale=1.0)
    results = {result.task: result for result in measure_perplexity(model, BATCHES)}
    rows: dict[str, list[Tensor]] = {}
    for batch in BATCHES:
        logits = model(batch) @ model.head_weight.T
        losses = torch.nn.functional.cross_entropy(logits, batch.labels_T, reduction="none")
        for task, part, labels in zip(
            batch.tasks,
            torch.split(losses, list(batch.sample_lengths)),
            torch.split(batch.labels_T, list(batch.sample_lengths)),
            strict=True,
        ):
            rows.setdefault(task, []).append(part[labels != IGNORE_INDEX])
    for task, parts in rows.items():
        assert results[task].loss() == pytest.approx(torch.cat(parts).mean().item(), rel=1e-5)


def test_the_result_over_all_weighs_targets_not_tasks() -> None:
    *tasks, overall = measure_perplexity(FixedModel(scale=1.0), BATCHES)
    assert [result.task for result in (*tasks, overall)] == ["a", "b", "c", ALL_TASKS]
    assert overall.num_targets == sum(batch.num_targets for batch in BATCHES)
    weighted = sum(result.loss() * result.num_targets for result in tasks) / overall.num_targets
    assert overall.loss() == pytest.approx(weighted)


def test_baselines_are_scored_on_the_same_targets() -> None:
    ngrams = fit_ngrams(BATCHES, VOCAB)
    overall = measure_perplexity(FixedModel(scale=0.0), BATCHES, ngrams)[-1]
    assert set(overall.loss_sums) == {MODEL, UNIGRAM, BIGRAM}
    assert overall.perplexity(BIGRAM) <= overall.perplexity(UNIGRAM) <= overall.perplexity(MODEL) * 1.01


def test_a_task_without_targets_has_no_result() -> None:
    batch = make_batch((5, 5), ("silent", "loud"), seed=2)
    batch.labels_T[:5] = IGNORE_INDEX
    assert [result.task for result in measure_perplexity(FixedModel(1.0), [batch])] == ["loud", ALL_TASKS]
    batch.labels_T[:] = IGNORE_INDEX
    assert measure_perplexity(FixedModel(1.0), [batch]) == []


def test_a_hopeless_loss_is_infinite_and_no_error() -> None:
    assert Perplexity("t", 1, {MODEL: 1e6}).perplexity() == math.inf
