"""The objective of language models is cross-entropy of every labelled position."""

import torch
from torch.nn import functional as F

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.model.components import build_model
from phi4train.training.losses.loss import Forward, LossSums, label_samples
from phi4train.training.losses.next_token import NextToken
from tests.unit.training.tiny_training import SHAPE, text_batch


def sums_of(batch: Batch) -> tuple[Forward, LossSums]:
    model = build_model(SHAPE, ("language_model",), seed=0)
    embedded_TD = model.embed(batch)
    forward = Forward(model, batch, embedded_TD, model.decode_batch(embedded_TD, batch))
    loss = NextToken()
    return forward, loss.sums(forward, loss.select(batch))


def test_it_is_cross_entropy_summed_and_told_by_target() -> None:
    batch = text_batch((9, 4, 12))
    forward, sums = sums_of(batch)
    logits_TV = forward.hidden_TD @ forward.model.head_weight.T
    losses_T = F.cross_entropy(logits_TV, batch.labels_T, ignore_index=IGNORE_INDEX, reduction="none")
    expected_M = losses_T[batch.labels_T != IGNORE_INDEX]
    assert NextToken().select(batch).num_targets == batch.num_targets == len(expected_M)
    assert sums.target_losses_M is not None and sums.target_samples_M is not None
    torch.testing.assert_close(sums.target_losses_M, expected_M.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(sums.loss_sum, expected_M.sum(), atol=1e-4, rtol=1e-5)
    assert torch.equal(sums.target_samples_M, label_samples(batch))
    assert sums.loss_sum.requires_grad and not sums.target_losses_M.requires_grad and not sums.measures


def test_without_targets_it_is_zero() -> None:
    batch = text_batch((9,))
    batch.labels_T.fill_(IGNORE_INDEX)
    _, sums = sums_of(batch)
    assert NextToken().select(batch).num_targets == 0 and sums.loss_sum.item() == 0
