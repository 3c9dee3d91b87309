import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from phi4train.objectives.ctc import fewest_ctc_tokens, linear_ctc

VOCABULARY, BLANK = 37, 5
NUM_TOKENS = (12, 3, 20, 7)
TARGETS = ((3, 3, 9, 3), (36,), (0, 1, 2, 2, 2, 1, 30, 4), (8, 8, 8, 8))
"""With repeats; the last clip has just the tokens that its target needs."""


def inputs(dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    tokens_ND = torch.randn(sum(NUM_TOKENS), 12, generator=generator, dtype=torch.float64)
    weight_VD = torch.randn(VOCABULARY, 12, generator=generator, dtype=torch.float64)
    return tokens_ND.to(dtype).requires_grad_(), weight_VD.to(dtype)


def expected(tokens_ND: Tensor, weight_VD: Tensor) -> Tensor:
    """torch's CTC on a full log-softmax, clip by clip."""
    log_probs = (
        (tokens_ND @ weight_VD.T).to(torch.promote_types(tokens_ND.dtype, torch.float32)).log_softmax(1)
    )
    losses = [
        F.ctc_loss(clip, torch.tensor(target), (len(clip),), (len(target),), BLANK, reduction="sum")
        for clip, target in zip(log_probs.split(NUM_TOKENS), TARGETS, strict=True)
    ]
    return torch.stack(losses).sum()


@pytest.mark.parametrize("chunk_tokens", [1, 5, 1000, None])
def test_loss_and_gradient_equal_ctc_on_a_full_log_softmax(chunk_tokens: int | None) -> None:
    tokens, weight = inputs()
    loss_sum, count = linear_ctc(tokens, NUM_TOKENS, weight, TARGETS, BLANK, chunk_tokens)
    reference = expected(tokens, weight)
    torch.testing.assert_close(loss_sum, reference)
    assert count == sum(map(len, TARGETS))
    (ours,), (theirs,) = (torch.autograd.grad(0.3 * loss, [tokens]) for loss in (loss_sum, reference))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_in_double_precision_the_gradient_equals_a_numerical_one() -> None:
    tokens, weight = inputs(torch.float64)
    assert torch.autograd.gradcheck(
        lambda t: linear_ctc(t, NUM_TOKENS, weight, TARGETS, BLANK, 4)[0], [tokens]
    )


def test_clips_together_equal_each_alone() -> None:
    tokens, weight = inputs()
    together, _ = linear_ctc(tokens, NUM_TOKENS, weight, TARGETS, BLANK)
    alone = [
        linear_ctc(clip, (len(clip),), weight, (target,), BLANK)[0]
        for clip, target in zip(tokens.split(NUM_TOKENS), TARGETS, strict=True)
    ]
    torch.testing.assert_close(together, torch.stack(alone).sum(), atol=1e-5, rtol=1e-6)
    gradients = [torch.autograd.grad(loss, [tokens])[0] for loss in (together, torch.stack(alone).sum())]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


def test_the_same_inputs_give_the_same_bits() -> None:
    results = []
    for _ in range(3):
        tokens, weight = inputs()
        loss, _ = linear_ctc(tokens, NUM_TOKENS, weight, TARGETS, BLANK)
        loss.backward()
        results.append((loss.detach(), tokens.grad))
    for loss, gradient in results[1:]:
        assert torch.equal(loss, results[0][0]) and torch.equal(gradient, results[0][1])  # type: ignore[arg-type]


def test_the_head_gets_no_gradient() -> None:
    tokens, weight = inputs()
    weight.requires_grad_()
    linear_ctc(tokens, NUM_TOKENS, weight, TARGETS, BLANK)[0].backward()
    assert tokens.grad is not None and weight.grad is None


def test_without_clips_the_loss_is_zero() -> None:
    loss, count = linear_ctc(torch.empty(0, 12), (), torch.randn(VOCABULARY, 12), (), BLANK)
    assert (loss.item(), count) == (0.0, 0)


def test_large_logits_neither_overflow_nor_lose_the_loss() -> None:
    tokens = torch.full((3, 2), 1e3, requires_grad=True)
    weight = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    loss, _ = linear_ctc(tokens, (3,), weight, ((1,),), blank_id=0)
    torch.testing.assert_close(loss, torch.tensor(4000.0) - torch.tensor(3.0).log(), atol=1e-2, rtol=0)
    loss.backward()
    assert tokens.grad is not None and tokens.grad.isfinite().all()


@pytest.mark.parametrize("target", [(1, 2, 1), (1, 1), (4, 4, 4, 2, 2)])
def test_a_target_needs_a_blank_between_equal_neighbours(target: tuple[int, ...]) -> None:
    weight = torch.randn(VOCABULARY, 12, generator=torch.Generator().manual_seed(0))
    fewest = fewest_ctc_tokens(target)
    for num_tokens in (fewest - 1, fewest):
        loss, _ = linear_ctc(torch.ones(num_tokens, 12), (num_tokens,), weight, (target,), BLANK)
        assert loss.isfinite() == (num_tokens == fewest)


def test_the_loss_is_float32_in_bfloat16_and_under_autocast_and_close_to_the_exact_one() -> None:
    tokens, weight = inputs()
    exact = expected(tokens, weight)
    (exact_gradient,) = torch.autograd.grad(exact, [tokens])
    half = tokens.detach().to(torch.bfloat16).requires_grad_()
    in_half, _ = linear_ctc(half, NUM_TOKENS, weight.to(torch.bfloat16), TARGETS, BLANK)
    with torch.autocast("cpu", torch.bfloat16):
        mixed, _ = linear_ctc(tokens, NUM_TOKENS, weight, TARGETS, BLANK)
    assert not torch.equal(mixed, exact)
    for loss, leaf in ((in_half, half), (mixed, tokens)):
        assert loss.dtype is torch.float32
        torch.testing.assert_close(loss, exact, rtol=0.01, atol=0)
        (gradient,) = torch.autograd.grad(loss, [leaf])
        assert gradient.dtype is leaf.dtype
        torch.testing.assert_close(gradient.float(), exact_gradient, atol=0.1, rtol=0.05)
