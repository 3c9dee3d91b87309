"""Media tokens are scaled to one size, so that a loss sees where they point and not how long they are."""

import torch

from phi4train.model.components import build_model
from phi4train.training.losses.loss import Forward
from phi4train.training.losses.media_tokens import normed_tokens
from tests.unit.training.tiny_training import SHAPE, text_batch

POSITIONS = torch.tensor([4, 1, 6])


def forward_of(embedded_TD: torch.Tensor) -> Forward:
    model = build_model(SHAPE, ("language_model",), seed=0)
    return Forward(model, text_batch((len(embedded_TD),)), embedded_TD, torch.zeros_like(embedded_TD))


def test_the_tokens_at_the_positions_have_a_root_mean_square_of_one() -> None:
    embedded_TD = torch.randn(8, 32, generator=torch.Generator().manual_seed(0))
    normed_ND = normed_tokens(forward_of(embedded_TD), POSITIONS)
    torch.testing.assert_close(normed_ND.square().mean(1).sqrt(), torch.ones(3), atol=1e-4, rtol=0)
    cosines_N = torch.cosine_similarity(normed_ND, embedded_TD[POSITIONS])
    torch.testing.assert_close(cosines_N, torch.ones(3))
    longer_ND = normed_tokens(forward_of(10 * embedded_TD), POSITIONS)
    torch.testing.assert_close(longer_ND, normed_ND, atol=1e-4, rtol=1e-4)


def test_only_these_tokens_get_a_gradient() -> None:
    embedded_TD = torch.randn(8, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    normed_tokens(forward_of(embedded_TD), POSITIONS).pow(3).sum().backward()
    assert embedded_TD.grad is not None
    touched = embedded_TD.grad.abs().sum(1).nonzero().squeeze(1)
    assert touched.tolist() == sorted(POSITIONS.tolist())


def test_no_positions_are_no_tokens() -> None:
    assert normed_tokens(forward_of(torch.ones(8, 32)), POSITIONS[:0]).shape == (0, 32)
