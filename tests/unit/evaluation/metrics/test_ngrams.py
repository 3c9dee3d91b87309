"""The n-gram baselines are proper, fair, and as good as their data allows."""

import numpy as np
import pytest
import torch

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.evaluation.metrics.ngrams import NGrams, fit_ngrams, target_pairs

VOCAB = 7


def text_batch(ids: list[int]) -> Batch:
    """One sample whose every position predicts the next id."""
    tokens = torch.tensor(ids)
    return Batch(
        tokens[:-1],
        torch.arange(len(ids) - 1),
        tokens[1:].clone(),
        (len(ids) - 1,),
        ("text",),
        ("t",),
        ("k",),
    )


def random_ids(count: int, seed: int) -> list[int]:
    return [int(token) for token in np.random.default_rng(seed).integers(0, VOCAB - 1, count)]


@pytest.mark.parametrize("seed", [0, 1])
def test_probabilities_of_all_labels_sum_to_one_after_any_input(seed: int) -> None:
    ngrams = fit_ngrams([text_batch(random_ids(300, seed))], VOCAB)
    labels = np.arange(VOCAB)
    assert np.exp(-ngrams.unigram_losses(labels)).sum() == pytest.approx(1)
    for token in range(VOCAB):
        assert np.exp(-ngrams.bigram_losses(np.full(VOCAB, token), labels)).sum() == pytest.approx(1)


def test_the_bigram_beats_the_unigram_where_the_next_id_follows_from_the_last() -> None:
    cycle = [n % 5 for n in range(500)]
    ngrams = fit_ngrams([text_batch(cycle)], VOCAB)
    inputs, labels = target_pairs(text_batch(cycle[1:]))
    assert ngrams.bigram_weight > 0.9
    assert ngrams.bigram_losses(inputs, labels).mean() < 0.1 * ngrams.unigram_losses(labels).mean()


def test_the_bigram_gets_little_weight_where_the_last_id_tells_nothing() -> None:
    ngrams = fit_ngrams([text_batch(random_ids(400, seed=0))], VOCAB)
    assert ngrams.bigram_weight < 0.5
    inputs, labels = target_pairs(text_batch(random_ids(4000, seed=1)))
    assert ngrams.bigram_losses(inputs, labels).mean() < 1.05 * ngrams.unigram_losses(labels).mean()


def test_an_input_that_was_never_seen_leaves_the_unigram() -> None:
    ngrams = fit_ngrams([text_batch([n % 5 for n in range(200)])], VOCAB)
    labels = np.arange(5)
    unseen = np.full(5, VOCAB - 1)
    np.testing.assert_allclose(ngrams.bigram_losses(unseen, labels), ngrams.unigram_losses(labels))


def test_all_training_targets_are_counted_and_positions_without_a_label_are_not() -> None:
    batch = text_batch([0, 1, 2, 3, 0, 1, 2, 3])
    batch.labels_T[:3] = IGNORE_INDEX
    ngrams = fit_ngrams([batch], VOCAB)
    assert ngrams.label_counts.tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert ngrams.pair_counts.sum() == 4


def test_a_batch_may_be_cut_anywhere_without_changing_the_counts() -> None:
    ids = random_ids(200, seed=3)
    whole = fit_ngrams([text_batch(ids)], VOCAB)
    parts = fit_ngrams([text_batch(ids[:80]), text_batch(ids[79:])], VOCAB)
    np.testing.assert_array_equal(whole.pair_keys, parts.pair_keys)
    assert whole.bigram_weight == parts.bigram_weight


@pytest.mark.parametrize("count", [1, 2, 5])
def test_a_handful_of_targets_is_enough(count: int) -> None:
    ngrams = fit_ngrams([text_batch(list(range(count + 1)))], VOCAB)
    assert isinstance(ngrams, NGrams)
    assert np.isfinite(ngrams.bigram_losses(np.arange(VOCAB), np.arange(VOCAB))).all()


def test_no_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="need training batches with targets"):
        fit_ngrams([], VOCAB)
