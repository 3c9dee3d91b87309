"""Unigram and bigram models of the targets: the floor that a language model has to beat.

Both are fitted on (input id, label) pairs of training batches and scored on the same positions as the model.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phi4train.batch import IGNORE_INDEX, Batch

_Ids = NDArray[np.int64]
_Losses = NDArray[np.float64]

_TUNING_STRIDE = 10
_WEIGHTS = np.linspace(0.0, 0.99, 100)


@dataclass(frozen=True)
class NGrams:
    """Counts of training targets, and of pairs of an input id with its target.

    Args:
        label_counts: by label, shape (V,).
        pair_keys: `input id * V + label` of each pair that occurs, sorted.
        pair_counts: how often each pair occurs.
        input_counts: targets by input id, shape (V,).
        bigram_weight: share of the bigram in its mixture with the unigram.
    """

    label_counts: _Ids
    pair_keys: _Ids
    pair_counts: _Ids
    input_counts: _Ids
    bigram_weight: float

    def unigram_losses(self, labels_M: _Ids) -> _Losses:
        """Negative log-likelihood in nats of each label; add-one smoothing leaves none impossible."""
        return -np.log(self._unigram(labels_M))

    def bigram_losses(self, inputs_M: _Ids, labels_M: _Ids) -> _Losses:
        """Negative log-likelihood in nats of each label after its input id."""
        return -np.log(_mixed(self._unigram(labels_M), *self._bigram(inputs_M, labels_M), self.bigram_weight))

    def _unigram(self, labels_M: _Ids) -> _Losses:
        total = self.label_counts.sum() + len(self.label_counts)
        share: _Losses = (self.label_counts[labels_M] + 1) / total
        return share

    def _bigram(self, inputs_M: _Ids, labels_M: _Ids) -> tuple[_Losses, NDArray[np.bool_]]:
        """Relative frequency of each label after its input id, and whether that id was ever seen."""
        keys_M = inputs_M * len(self.label_counts) + labels_M
        places_M = np.searchsorted(self.pair_keys, keys_M).clip(max=max(0, len(self.pair_keys) - 1))
        found_M = self.pair_keys[places_M] == keys_M
        seen_M = self.input_counts[inputs_M]
        return np.where(found_M, self.pair_counts[places_M], 0) / np.maximum(seen_M, 1), seen_M > 0


def fit_ngrams(batches: Iterable[Batch], vocab_size: int) -> NGrams:
    """Counts the targets of training batches.

    The bigram's weight is tuned on every tenth of the targets' blocks, which are left out of the counts
    while it is tuned; held-out data has no part in it.

    Raises:
        ValueError: no batch has a target.
    """
    pairs = [target_pairs(batch) for batch in batches]
    inputs_M = np.concatenate([inputs for inputs, _ in pairs]) if pairs else np.zeros(0, np.int64)
    labels_M = np.concatenate([labels for _, labels in pairs]) if pairs else np.zeros(0, np.int64)
    if len(labels_M) == 0:
        raise ValueError("n-grams need training batches with targets · found none · pass some")
    # Blocks of neighbouring targets, so that the tuning slice is other text and not the words in between.
    is_tuning_M = (np.arange(len(labels_M)) * 20 * _TUNING_STRIDE // len(labels_M)) % _TUNING_STRIDE == 0
    counted = _count(inputs_M[~is_tuning_M], labels_M[~is_tuning_M], vocab_size, bigram_weight=0.0)
    weight = _tune(counted, inputs_M[is_tuning_M], labels_M[is_tuning_M])
    return _count(inputs_M, labels_M, vocab_size, weight)


def target_pairs(batch: Batch) -> tuple[_Ids, _Ids]:
    """Input id and label of each position that has a label."""
    labels_T = batch.labels_T.cpu().numpy()
    is_target_T = labels_T != IGNORE_INDEX
    return batch.input_ids_T.cpu().numpy()[is_target_T], labels_T[is_target_T]


def _count(inputs_M: _Ids, labels_M: _Ids, vocab_size: int, bigram_weight: float) -> NGrams:
    pair_keys, pair_counts = np.unique(inputs_M * vocab_size + labels_M, return_counts=True)
    return NGrams(
        label_counts=np.bincount(labels_M, minlength=vocab_size),
        pair_keys=pair_keys,
        pair_counts=pair_counts,
        input_counts=np.bincount(inputs_M, minlength=vocab_size),
        bigram_weight=bigram_weight,
    )


def _tune(counted: NGrams, inputs_M: _Ids, labels_M: _Ids) -> float:
    """The weight with the least loss on targets that `counted` does not count."""
    if len(labels_M) == 0 or len(counted.pair_keys) == 0:
        return 0.0
    unigram_M, bigram = counted._unigram(labels_M), counted._bigram(inputs_M, labels_M)
    losses = [-np.log(_mixed(unigram_M, *bigram, weight)).sum() for weight in _WEIGHTS]
    return float(_WEIGHTS[int(np.argmin(losses))])


def _mixed(unigram_M: _Losses, bigram_M: _Losses, is_seen_M: NDArray[np.bool_], weight: float) -> _Losses:
    """Interpolated probabilities; an input id that was never seen leaves the unigram alone."""
    mixed: _Losses = np.where(is_seen_M, weight * bigram_M + (1 - weight) * unigram_M, unigram_M)
    return mixed
